#include "model/dictionary.h"

namespace selfcompress::model {

namespace {

constexpr const char* kKinds[] = {
    "conv2d", "linear", "batchNorm", "relu", "maxPool", "averagePool", "globalAveragePool", "flatten", "add", "concat",
    "dropout", "gelu", "silu", "sigmoid", "tanh", "softmax", "multiply", "subtract", "divide", "layerNorm", "rmsNorm",
    "groupNorm", "instanceNorm", "embedding", "position", "attention", "lstm", "gru", "convTranspose2d", "conv1d",
    "conv3d", "convTranspose1d", "upsample", "resize", "pixelShuffle", "channelShuffle", "pad", "crop", "slice",
    "split", "reshape", "transpose", "mean", "sum", "max", "leakyRelu", "elu", "hardSwish", "hardSigmoid", "relu6",
    "squeezeExcite", "matmul", "logSoftmax", "softplus", "mish", "prelu", "rotary", "scale", "shift", "clip", "gather",
    "identity", "constant",
    // From here on an index takes two bytes.
    "maxPool1d", "averagePool1d", "unfold", "fold", "power", "sqrt", "exp", "log", "abs", "negate", "minimum",
    "maximum", "argmax", "feedForward", "residual", "crossAttention"};

constexpr const char* kFields[] = {"outChannels",   "kernel",
                                   "stride",        "padding",
                                   "dilation",      "groups",
                                   "bias",          "compress",
                                   "affine",        "epsilon",
                                   "momentum",      "countIncludePad",
                                   "probability",   "outFeatures",
                                   "inChannels",    "inFeatures",
                                   "axis",          "axes",
                                   "heads",         "keyHeads",
                                   "headSize",      "causal",
                                   "approximate",   "slope",
                                   "alpha",         "scale",
                                   "mode",          "factor",
                                   "size",          "start",
                                   "end",           "step",
                                   "sizes",         "value",
                                   "low",           "high",
                                   "rows",          "columns",
                                   "hidden",        "layers",
                                   "bidirectional", "shape",
                                   "order",         "channels",
                                   "height",        "width",
                                   "window",        "base",
                                   "length",        "weightOf",
                                   "activation",    "outputPadding",
                                   "ceilMode",      "alignCorners",
                                   "maxPositions",  "units",
                                   "shared",        "originalChannels",
                                   "divisor",       "groupSizes",
                                   "gate",          "returnSequence",
                                   "temperature"};

constexpr const char* kWords[] = {
    "weight", "bias", "scale", "shift", "packed", "range", "f32", "f16", "bf16", "scaled", "float", "token", "rans",
    "name", "task", "labels", "mean", "std", "classes", "classification", "regression", "segmentation", "detection",
    "language", "input", "output", "gamma", "beta", "runningMean", "runningVar", "inputWeight", "recurrentWeight",
    "inputBias", "recurrentBias", "query", "key", "value", "queryBias", "keyBias", "valueBias", "outputBias", "table",
    "initialState", "initialCell", "same", "valid", "zeros", "reflect", "replicate", "circular", "nearest", "bilinear",
    "bicubic", "max", "average", "constant", "none", "tanh", "mnist", "cifar10", "cifar100", "fashion-mnist", "digits",
    // From here on an index takes two bytes.
    "license", "author", "description", "url", "date", "version", "tool", "accuracy", "epochs", "tokens", "vocabulary",
    "imageSize", "channels", "rgb", "gray", "bgr", "softmax", "sigmoid", "alphabet", "sequence", "range-fast", "method",
    "selfcompress"};

}  // namespace

std::span<const char* const> kindNames() { return kKinds; }
std::span<const char* const> fieldNames() { return kFields; }
std::span<const char* const> words() { return kWords; }

}  // namespace selfcompress::model
