// What convolutions and linear layers share: sums of products of weights that may be quantized.
#pragma once

#include "ops/rules.h"
#include "selfcompress/ops/conv2d.h"
#include "selfcompress/ops/conv_transpose.h"

namespace selfcompress {

// Weight (and bias, bit depths and exponents, as the fields say) of a layer with weights of these axes.
std::vector<ParameterSpec> weightLayerParameters(const NodeContext&, std::vector<ParameterAxis> weight);
// Throws DescriptionError when there are more weights than can be addressed.
void checkWeights(const NodeContext&, double perChannel, int outChannels);

// Of a conv2d node.
Conv2dGeometry conv2dGeometry(const NodeContext&);
// Of a convTranspose2d node.
ConvTransposeGeometry convTransposeGeometry(const NodeContext&);

// Taps of an axis of a kernel that read something: reads(position, tap) of the output says which. Empty: not the same
// at every position.
template <class Reads>
std::vector<int> commonTaps(int positions, int kernel, Reads reads) {
  std::vector<int> taps;
  for (int k = 0; k < kernel; k++) {
    const bool first = reads(0, k);
    for (int p = 1; p < positions; p++)
      if (reads(p, k) != first) return {};
    if (first) taps.push_back(k);
  }
  return taps;
}
// Sets what a rule says of the kernel, from these taps of its rows and columns.
void setTaps(ChannelRule&, std::array<int, 2> kernel, const std::vector<int>& rows, const std::vector<int>& columns);

void emitWeightLayerForward(Emitter&, int node, const Conv2dGeometry&);
void emitWeightLayerBackward(Emitter&, int node, const Conv2dGeometry&);

// Fields of a convolution, transposed or not, and what a removal makes of them.
std::vector<FieldSpec> convolutionFields();
void resizeConvolution(NodeDescription&, const Resized&);

}  // namespace selfcompress
