#include "export/c_source.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <span>

#include "base/errors.h"

namespace selfcompress {
namespace {

using namespace engine::integer;

// What comes between "// section: <name>" and the next one.
std::string section(std::string_view name) {
  const std::string_view text = kArithmeticText, marker = "// section: ";
  const std::string begin = std::string(marker) + std::string(name) + "\n";
  const std::size_t at = text.find(begin) + begin.size();
  return std::string(text.substr(at, text.find(marker, at) - at));
}

std::string text(std::int64_t value) { return std::to_string(value); }
// The shortest decimal that is this float.
std::string floatText(float value) {
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  return std::string(buffer, end) + "f";
}

template <class Number>
std::string listOf(std::span<const Number> values) {
  std::string result = "{";
  for (std::size_t i = 0; i < values.size(); i++) {
    result += i ? "," : "";
    result += i % 24 ? "" : "\n  ";
    result += text(std::int64_t(values[i]));
  }
  return result + "}";
}
std::string triple(const std::int32_t (&v)[3]) {
  return "{" + text(v[0]) + ", " + text(v[1]) + ", " + text(v[2]) + "}";
}
std::string scaleText(sc_scale s) { return "{" + text(s.multiplier) + ", " + text(s.shift) + "}"; }

template <class... Numbers>
std::string numbers(Numbers... values) {
  std::string result;
  ((result += (result.empty() ? "" : ", ") + text(std::int64_t(values))), ...);
  return result;
}

std::string constant(const std::string& type, const std::string& name, const std::string& value, bool isArray = true) {
  return "static const " + type + " " + name + (isArray ? "[] = " : " = ") + value + ";\n";
}

// Codes in the bits of their channel, as sc_unpack reads them.
std::vector<std::uint8_t> packed(const Step& s) {
  std::vector<std::uint8_t> bytes;
  std::uint64_t pending = 0;
  int filled = 0;
  for (std::size_t o = 0; o < s.bits.size(); o++)
    for (std::size_t k = 0; k < s.perChannel(); k++) {
      const std::uint64_t code =
          std::uint64_t(std::uint8_t(s.weights[o * s.perChannel() + k])) & ((1u << s.bits[o]) - 1);
      pending |= code << filled, filled += s.bits[o];
      for (; filled >= 8; filled -= 8, pending >>= 8) bytes.push_back(std::uint8_t(pending));
    }
  bytes.push_back(std::uint8_t(pending));
  bytes.push_back(0);  // read along with the last codes
  return bytes;
}

class Writer {
 public:
  Writer(const Program& program, const COptions& options) : program_(program), options_(options) {}

  std::string write() {
    std::string body = enter();
    for (std::size_t i = 0; i < program_.steps.size(); i++) body += step(program_.steps[i], std::to_string(i));
    body += leave();
    return head() + data_ + function(body);
  }

 private:
  std::string at(int value) const { return "memory + " + text(program_.values[std::size_t(value)].offset); }
  const Value& result() const { return program_.values[std::size_t(program_.result)]; }

  std::string head() {
    const std::string& n = options_.name;
    std::string upper = n;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
    std::string h =
        "// A trained network in integers of 8 bits, written by selfcompress. C99, no library, nothing is allocated.\n"
        "//\n"
        "//   void " +
        n +
        "_run(const uint8_t* input, uint8_t* output);   codes in, codes out, channels first\n"
        "//   uint8_t " +
        n +
        "_code(float value);                         of a number that goes in, normalised as in training\n"
        "//   float " +
        n +
        "_value(uint8_t code);                         of a code that comes out\n"
        "//\n"
        "// input: " +
        program_.input.text() + ", output: " + program_.output.text() + "; " + text(memoryBytes()) +
        " bytes of memory, which are its own: one call at a time.\n\n#include <stdint.h>\n\n"
        "#define " +
        upper + "_INPUTS " + text(program_.input.elements()) + "\n" + "#define " + upper + "_OUTPUTS " +
        text(program_.output.elements()) +
        "\n\n"
        "void " +
        n + "_run(const uint8_t* input, uint8_t* output);\nuint8_t " + n + "_code(float value);\nfloat " + n +
        "_value(uint8_t code);\n\n";
    for (const char* name : {"base", "conv", "packed", "pool", "largest", "mean", "binary", "sum", "product", "copy"})
      if (sections_.count(name)) h += section(name);
    return h;
  }
  std::int64_t memoryBytes() const { return program_.memory + (options_.packed ? program_.largest : 0); }

  std::string function(const std::string& body) const {
    const std::string& n = options_.name;
    const CodeScale in = program_.values[0].code, out = result().code;
    std::string f = "static uint8_t memory[" + text(program_.memory) + "];\n";
    if (usesRow_) f += "static int8_t row[" + text(program_.largest) + "];\n";
    f += "\nvoid " + n + "_run(const uint8_t* input, uint8_t* output) {\n  int32_t p, c, o;\n";
    if (usesRow_) f += "  uint32_t position;\n";
    f += body + "}\n\n";
    f += "uint8_t " + n + "_code(float value) { return sc_quantize(value, " + floatText(in.scale) + ", " +
         text(in.zero) + "); }\n";
    f += "float " + n + "_value(uint8_t code) { return sc_value(code, " + floatText(out.scale) + ", " + text(out.zero) +
         "); }\n";
    return f;
  }

  // Between channels first and [row][column][channel].
  std::string turned(Shape s, const std::string& to, const std::string& from) const {
    return "  for (p = 0; p < " + text(s.pixels()) + "; p++)\n    for (c = 0; c < " + text(s.channels) + "; c++) " +
           to + " = " + from + ";\n";
  }
  std::string enter() const {
    const Shape s = program_.values[0].shape;
    return turned(s, "memory[" + text(program_.values[0].offset) + " + p * " + text(s.channels) + " + c]",
                  "input[c * " + text(s.pixels()) + " + p]");
  }
  std::string leave() const {
    const Shape s = result().shape;
    return turned(s, "output[c * " + text(s.pixels()) + " + p]",
                  "memory[" + text(result().offset) + " + p * " + text(s.channels) + " + c]") +
           "  (void)o;\n";
  }

  void use(std::initializer_list<const char*> names) {
    sections_.insert("base");
    for (const char* name : names) sections_.insert(name);
  }

  std::string step(const Step& s, const std::string& i) {
    data_ += "// " + s.name + "\n";
    const std::string in = at(s.inputs[0]), out = at(s.output);
    switch (s.kind) {
      case StepKind::kConv:
        return convolution(s, i);
      case StepKind::kMaxPool:
        use({"pool", "largest"}), pool(s, i);
        return "  sc_max_pool(&geometry_" + i + ", " + in + ", " + out + ");\n";
      case StepKind::kAveragePool:
        use({"pool", "mean"}), pool(s, i);
        data_ += constant("sc_scale", "scales_" + i, scales(s));
        return "  sc_average_pool(&geometry_" + i + ", scales_" + i + ", " + in + ", " + out + ");\n";
      case StepKind::kAdd:
      case StepKind::kMultiply:
        use({"binary", s.kind == StepKind::kAdd ? "sum" : "product"}), binary(s, i);
        return std::string(s.kind == StepKind::kAdd ? "  sc_add" : "  sc_multiply") + "(&geometry_" + i + ", " + in +
               ", " + at(s.inputs[1]) + ", " + out + ");\n";
      default:
        use({"copy"});
        data_ += constant("sc_copy", "geometry_" + i,
                          "{" + numbers(s.copy.height, s.copy.width, s.copy.channels, s.copy.first) + ", " +
                              triple(s.copy.step) + "}",
                          false);
        data_ += constant("uint8_t", "table_" + i, listOf(std::span<const std::uint8_t>(s.table)));
        return "  sc_copy_through(&geometry_" + i + ", table_" + i + ", " + in + ", " + out + ");\n";
    }
  }

  static std::string scales(const Step& s) {
    std::string list = "{";
    for (const sc_scale& scale : s.scales) list += (list.size() > 1 ? ", " : "") + scaleText(scale);
    return list + "}";
  }

  std::string convolution(const Step& s, const std::string& i) {
    use({"conv"});
    const sc_conv& g = s.conv;
    data_ +=
        constant("sc_conv", "geometry_" + i,
                 "{" +
                     numbers(g.height, g.width, g.channels, g.out_height, g.out_width, g.out_channels, g.kernel_height,
                             g.kernel_width, g.stride_height, g.stride_width, g.pad_height, g.pad_width,
                             g.dilation_height, g.dilation_width, g.groups, g.in_zero, g.out_zero, g.low, g.high) +
                     "}",
                 false);
    std::string channels = "{";
    for (const sc_channel& c : s.channels) channels += "\n  {" + text(c.bias) + ", " + scaleText(c.scale) + "},";
    data_ += constant("sc_channel", "channels_" + i, channels + "}");
    const std::string loop = "  for (o = 0; o < " + text(std::int64_t(s.channels.size())) + "; o++) ";
    const std::string rest = ", channels_" + i + "[o], o, " + at(s.output) + ");";
    const std::string call = "sc_conv_channel(&geometry_" + i + ", " + at(s.inputs[0]) + ", ";
    const std::string count = text(std::int64_t(s.perChannel()));
    if (!options_.packed) {
      data_ += constant("int8_t", "weights_" + i, listOf(std::span<const std::int8_t>(s.weights)));
      return loop + call + "weights_" + i + " + o * " + count + rest + "\n";
    }
    use({"packed"}), usesRow_ = true;
    data_ += constant("uint8_t", "bits_" + i, listOf(std::span<const std::uint8_t>(s.bits)));
    data_ += constant("uint8_t", "weights_" + i, listOf(std::span<const std::uint8_t>(packed(s))));
    return "  position = 0;\n" + loop + "{\n    sc_unpack(weights_" + i + ", &position, bits_" + i + "[o], " + count +
           ", row);\n    " + call + "row" + rest + "\n  }\n";
  }

  void pool(const Step& s, const std::string& i) {
    const sc_pool& p = s.pool;
    data_ += constant("sc_pool", "geometry_" + i,
                      "{" +
                          numbers(p.height, p.width, p.channels, p.out_height, p.out_width, p.kernel_height,
                                  p.kernel_width, p.stride_height, p.stride_width, p.pad_height, p.pad_width, p.in_zero,
                                  p.out_zero, p.low, p.high, p.by_count) +
                          "}",
                      false);
  }
  void binary(const Step& s, const std::string& i) {
    const sc_binary& g = s.binary;
    data_ += constant("sc_binary", "geometry_" + i,
                      "{" + numbers(g.height, g.width, g.channels) + ", " + triple(g.step_a) + ", " + triple(g.step_b) +
                          ", " + numbers(g.zero_a, g.zero_b, g.out_zero, g.low, g.high, g.factor_a, g.factor_b) + ", " +
                          scaleText(g.scale) + "}",
                      false);
  }

  const Program& program_;
  const COptions& options_;
  std::string data_;
  std::set<std::string> sections_;
  bool usesRow_ = false;
};

}  // namespace

std::string writeC(const Program& program, const COptions& options) { return Writer(program, options).write(); }

}  // namespace selfcompress
