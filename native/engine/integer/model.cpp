#include "engine/integer/model.h"

namespace selfcompress::engine::integer {
namespace {

void runStep(const Step& s, const std::vector<const std::uint8_t*>& inputs, std::uint8_t* output) {
  switch (s.kind) {
    case StepKind::kConv:
      for (std::size_t o = 0; o < s.channels.size(); o++)
        sc_conv_channel(&s.conv, inputs[0], s.weights.data() + o * s.perChannel(), s.channels[o], std::int32_t(o),
                        output);
      break;
    case StepKind::kMaxPool:
      sc_max_pool(&s.pool, inputs[0], output);
      break;
    case StepKind::kAveragePool:
      sc_average_pool(&s.pool, s.scales.data(), inputs[0], output);
      break;
    case StepKind::kAdd:
      sc_add(&s.binary, inputs[0], inputs[1], output);
      break;
    case StepKind::kMultiply:
      sc_multiply(&s.binary, inputs[0], inputs[1], output);
      break;
    case StepKind::kCopy:
      sc_copy_through(&s.copy, s.table.data(), inputs[0], output);
      break;
  }
}

}  // namespace

Model::Model(model::ByteSpan bytes, const model::Limits& limits) {
  const model::ModelReader reader(bytes, limits);
  program_ = makeProgram(reader);
  metadata_ = reader.metadata();
}

void Model::run(const std::uint8_t* input, std::uint8_t* output) const {
  std::vector<std::uint8_t> memory(std::size_t(program_.memory));
  auto at = [&](int v) { return memory.data() + program_.values[std::size_t(v)].offset; };
  const Shape in = program_.values[0].shape, out = program_.values[std::size_t(program_.result)].shape;
  for (std::int64_t p = 0; p < in.pixels(); p++)
    for (std::int64_t c = 0; c < in.channels; c++) at(0)[p * in.channels + c] = input[c * in.pixels() + p];
  std::vector<const std::uint8_t*> inputs;
  for (const Step& step : program_.steps) {
    inputs.clear();
    for (int v : step.inputs) inputs.push_back(at(v));
    runStep(step, inputs, at(step.output));
  }
  for (std::int64_t p = 0; p < out.pixels(); p++)
    for (std::int64_t c = 0; c < out.channels; c++)
      output[c * out.pixels() + p] = at(program_.result)[p * out.channels + c];
}

void Model::predict(const float* images, std::size_t count, float* result, const Parallel& parallel) const {
  const std::size_t in = std::size_t(program_.input.elements()), out = std::size_t(program_.output.elements());
  const CodeScale from = program_.values[0].code, to = program_.values[std::size_t(program_.result)].code;
  parallel.run(std::int64_t(count), [&](std::int64_t i) {
    std::vector<std::uint8_t> input(in), output(out);
    for (std::size_t k = 0; k < in; k++) input[k] = sc_quantize(images[std::size_t(i) * in + k], from.scale, from.zero);
    run(input.data(), output.data());
    for (std::size_t k = 0; k < out; k++) result[std::size_t(i) * out + k] = sc_value(output[k], to.scale, to.zero);
  });
}

}  // namespace selfcompress::engine::integer
