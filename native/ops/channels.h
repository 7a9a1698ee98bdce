// How the channels of a node's output hang together with those of what it reads. One rule, read by four: the states of
// channels inside a step, the coupled size penalty, the decay of what dead channels leave, and their removal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace selfcompress {

// Value of a channel that is the same for every example: in training mode (batch statistics) and in evaluation mode.
struct Constant {
  double train = 0, evaluate = 0;
  bool isZero() const { return train == 0 && evaluate == 0; }
};
using MaybeConstant = std::optional<Constant>;

enum class Role {
  kWeight,
  kBias,
  kNormWeight,
  kNormBias,
  kRunningMean,
  kRunningVar,
  kBitDepth,
  kExponent,
  kSlope,
  kIdle
};
inline constexpr int kRoles = int(Role::kIdle) + 1;
const char* roleName(Role);

// Values of the small parameters of a node, in host memory; empty for those that it does not have.
struct NodeValues {
  std::span<const float> of[kRoles];
  std::span<const float> operator[](Role role) const { return of[int(role)]; }
};

struct ChannelRule {
  enum class Kind {
    kMap,      // every output channel is one input channel, or made of it alone: `parts`
    kFresh,    // new channels: sums over all input channels of their group
    kSum,      // channel i of all inputs together, dead when all are
    kProduct,  // channel i of all inputs together, zero when one of them is
    kJoin,     // every output channel is made of several input channels, all of one class: `sources`
  };
  // In sums and products an input of one channel meets all channels of the others, and is not tied to them.
  Kind kind = Kind::kMap;

  // kMap: the output's channels, one part after the other: channels first..first+count-1 of an input, each `repeat`
  // times (a flattened channel is one for every position).
  struct Part {
    int input = 0, first = 0, count = 0, repeat = 1;
  };
  std::vector<Part> parts;

  // kJoin: output channel i is put together from sources[i * perChannel .. (i + 1) * perChannel - 1]. A source whose
  // input is negative is a channel of zeros.
  struct Source {
    int input = 0, channel = 0;
  };
  int perChannel = 1;
  std::vector<Source> sources;
  // kMap, kJoin: a constant that is not zero comes out as different values (zeros around it, angles that depend on the
  // position). kJoin without it: constants that are all the same stay one.
  bool varies = false;

  // Channels that only meet in sums of products, of one of `a` and one of `b` each, on the way to the output channels
  // `uses`: one class, which may leave where all of `a` are zero, or all of `b` the same at all positions, or with all
  // of `uses`. The sums are compared over positions of `b`: what a constant adds to all of them changes nothing.
  struct Contraction {
    std::vector<Source> a, b;
    std::vector<int> uses;  // empty: all channels of the output
  };
  std::vector<Contraction> contractions;
  bool contracts(int input) const {
    for (const Contraction& c : contractions)
      for (const auto* side : {&c.a, &c.b})
        for (const Source& s : *side)
          if (s.input == input) return true;
    return false;
  }

  // kMap, kSum, kJoin of one source each: what comes out is what goes in times its factor, one for each input or the
  // same for all, plus a constant (that which 0 becomes). Empty: it is no such sum.
  std::vector<double> factors;
  // kMap: without its contractions the mean over positions, the same at each.
  bool averages = false;

  // kFresh
  int groups = 1;         // equal to the input channels, if more than one: depthwise, tied to its input as a product
  int repeat = 1;         // inputs that each channel of the input counts as: a linear layer reads every position
  int kernelArea = 1;     // weights of an output channel for each of its inputs
  std::vector<int> taps;  // those of them that read something, the same at every position; empty: all
  // A layer over time whose weights read its own output at another position. Gate g of unit u, channel u of the output,
  // is row g * units + u of the weights and channel g * units + u of the input; its state starts at zero.
  struct Recurrence {
    int gates = 0;             // 0: none
    int candidate = 0;         // the gate that the state is made of: where it is always zero, the state is
    int reset = -1;            // the gate that does nothing but scale the candidate's product with the state; -1: none
    bool resetsFirst = false;  // or what that product reads, of all units
  } recurrence;
  bool recurs() const { return recurrence.gates > 0; }
  int rows(int channels) const { return recurs() ? recurrence.gates * channels : channels; }  // of the weights
  bool readsNothing = false;  // of its input but the axes and what its contractions read: it has no weights that
                              // anybody else's channels choose
  bool padded = false;        // with zeros, which meet other weights at other positions: then only a zero is a
                              // constant that may be taken out of its sums

  // Through a batch norm a constant becomes the shift (training), or what the running statistics make of it.
  bool normalises = false;
  bool ofExamples = false;  // its statistics are those of an example, over all positions
  // Whether the mean over positions of what comes out is known: it is what a constant becomes.
  bool centres() const { return normalises && ofExamples; }
  bool forgets = false;   // kMap: a constant comes out the same, whatever it was
  bool keepsZero = true;  // a channel of zeros stays one; if not, it becomes a constant
  // kMap of operators whose channels depend on one another: only exact zeros may leave what they read.
  enum class Mixing {
    kNone,
    kLayerNorm,  // what a zero becomes varies, unless scale and shift are 0
    kRmsNorm,    // a zero stays one, plus the shift
    kAll,        // nothing may leave, and every channel of the output is live
  };
  Mixing mixing = Mixing::kNone;
  std::vector<int> mixed;   // how many channels, in order, depend on one another; empty: all of them
  bool onlyFirst = false;   // kProduct: zero when the first input is, whatever the others are (a quotient)
  std::vector<int> pinned;  // inputs whose channels stay, dead or not

  bool depthwise(int inChannels) const { return kind == Kind::kFresh && groups > 1 && groups == inChannels; }
};

}  // namespace selfcompress
