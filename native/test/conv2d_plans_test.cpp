// What a convolution is planned to be cut into.
#include <numeric>

#include "cpu/conv2d_weight_plan.h"
#include "test/support.h"

using namespace selfcompress;
using namespace selfcompress::cpu;

// Seven equal parts would keep one of two threads waiting for an eighth of the time. The parts must not follow from the
// number of threads, or results would.
TEST_CASE("the parts of a weight gradient are shared evenly by two threads and by four") {
  for (int kernel : {1, 3, 5})
    for (int inputs : {16, 96, 192, 768})
      for (int outputs : {16, 100, 192, 768})
        for (int batch : {1, 16, 64, 112, 512}) {
          Conv2dGeometry g;
          g.inChannels = inputs, g.outChannels = outputs, g.height = g.width = 8;
          g.kernelHeight = g.kernelWidth = kernel, g.padH = g.padW = kernel / 2;
          std::vector<int> ins(static_cast<std::size_t>(inputs)), outs(static_cast<std::size_t>(outputs));
          std::iota(ins.begin(), ins.end(), 0), std::iota(outs.begin(), outs.end(), 0);
          const WeightPlan one = makeWeightPlan(g, batch, false, ins, outs, kernelsOf(Isa::kScalar), 1),
                           plan = makeWeightPlan(g, batch, false, ins, outs, kernelsOf(Isa::kScalar), 4);
          if (!plan.form.points) continue;
          CAPTURE(kernel);
          CAPTURE(inputs);
          CAPTURE(outputs);
          CAPTURE(batch);
          CHECK(plan.parts == one.parts);
          CHECK((plan.parts == 1 || plan.parts == 2 || plan.parts % 4 == 0));
        }
}
