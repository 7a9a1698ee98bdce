#include "model/values.h"

#include <bit>
#include <cmath>

#include "model/dictionary.h"

namespace selfcompress::model {

// ---- strings: 0 = a new one follows, 2k + 1 = the k-th of this file, 2k + 2 = the k-th of the dictionary

namespace {

std::map<std::string, std::uint64_t> indexOf(std::span<const char* const> names) {
  std::map<std::string, std::uint64_t> index;
  for (std::size_t i = 0; i < names.size(); i++) index.emplace(names[i], i);
  return index;
}

constexpr std::uint64_t kStringObject = 32;  // what a string takes besides its text

}  // namespace

StringWriter::StringWriter(ByteWriter& out)
    : out_(out), kinds_(indexOf(kindNames())), fields_(indexOf(fieldNames())), words_(indexOf(words())) {}

void StringWriter::reference(const std::string& text, const Index& names) {
  if (const auto known = names.find(text); known != names.end()) return out_.varint(2 * known->second + 2);
  const auto [entry, added] = own_.emplace(text, own_.size());
  if (!added) return out_.varint(2 * entry->second + 1);
  out_.varint(0);
  out_.text(text);
}

std::string StringReader::counted(std::string text) {
  const std::uint64_t cost = text.size() + kStringObject;
  if (cost > left_) fail("less text", in_.what(), "more than limits.textBytes allow");
  left_ -= cost;
  return text;
}

std::string StringReader::text() {
  const auto bytes = in_.take(in_.varint());
  return counted(std::string(bytes.begin(), bytes.end()));
}

std::vector<std::string> StringReader::ordinals(std::uint64_t count) {
  std::vector<std::string> texts;
  for (std::uint64_t i = 0; i < count; i++) texts.push_back(counted(std::to_string(i)));
  return texts;
}

std::string StringReader::reference(std::span<const char* const> names) {
  const std::uint64_t code = in_.varint();
  if (code == 0) return own_.emplace_back(text());
  const std::uint64_t index = (code - 1) / 2;
  if (code % 2) {
    if (index >= own_.size()) fail("one of the file's " + std::to_string(own_.size()) + " strings", in_.what(), index);
    return counted(own_[std::size_t(index)]);
  }
  if (index >= names.size()) fail("a name that this version knows", in_.what(), "number " + std::to_string(index));
  return counted(names[std::size_t(index)]);
}
std::string StringReader::kind() { return reference(kindNames()); }
std::string StringReader::field() { return reference(fieldNames()); }
std::string StringReader::word() { return reference(words()); }

// ---- values: a tag, then what it needs

namespace {

enum Tag : std::uint8_t {
  kFalse,
  kTrue,
  kInteger,    // signed varint
  kFloat64,    // 8 bytes
  kFloat32,    // 4 bytes, the double of this float
  kDecimal,    // varint (m << 5 | k << 1 | negative): the double nearest m / 10^k
  kDecimal32,  // the same, rounded to float32
  kText,       // a word
  kTwice,      // a list of one number twice
  kPair,       // a list of two numbers
  kNumbers,    // count, numbers
  kTexts,      // count, words
  kOrdinals,   // count n: the texts "0", "1", ... n - 1
  kSmall = 16  // 16 + v: the integer v, 0 to 239
};
constexpr int kMaxDecimals = 15;
constexpr double kPowers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

void writeInteger(ByteWriter& out, std::int64_t value) {
  if (value >= 0 && value < 256 - kSmall) return out.byte(std::uint8_t(kSmall + value));
  out.byte(kInteger);
  out.signedVarint(value);
}

double decimal(std::uint64_t packed) {
  const double magnitude = double(packed >> 5) / kPowers[(packed >> 1) & 15];
  return packed & 1 ? -magnitude : magnitude;
}

// The shortest decimal that gives `value` (rounded to float32 or not); both operands of the division are exact, so
// every machine rounds it alike.
bool writeDecimal(ByteWriter& out, double value, bool single) {
  const double magnitude = std::fabs(value);
  for (int k = 0; k <= kMaxDecimals; k++) {
    const double m = std::nearbyint(magnitude * kPowers[k]);
    if (!(m < (single ? 1e9 : 1e15))) return false;
    const std::uint64_t packed = (std::uint64_t(m) << 5) | (unsigned(k) << 1) | (std::signbit(value) ? 1u : 0u);
    const double back = decimal(packed);
    if (!same(single ? double(float(back)) : back, value)) continue;
    out.byte(single ? kDecimal32 : kDecimal);
    out.varint(packed);
    return true;
  }
  return false;
}

void writeDouble(ByteWriter& out, double value) {
  const bool single = same(double(float(value)), value);
  ByteWriter shortest, other;
  if (single) shortest.byte(kFloat32), shortest.little(std::bit_cast<std::uint32_t>(float(value)));
  else shortest.byte(kFloat64), shortest.little(std::bit_cast<std::uint64_t>(value));
  for (const bool rounded : {false, true}) {
    ByteWriter attempt;
    if ((single || !rounded) && writeDecimal(attempt, value, rounded) && attempt.size() < shortest.size())
      shortest = attempt;
  }
  out.append(shortest.bytes());
}

// An element of a list: whole numbers as integers.
void writeNumber(ByteWriter& out, double value) {
  if (std::fabs(value) < 0x1p53 && same(double(std::int64_t(value)), value))
    return writeInteger(out, std::int64_t(value));
  writeDouble(out, value);
}

double readNumber(ByteReader& in, std::uint8_t tag) {
  if (tag >= kSmall) return tag - kSmall;
  switch (tag) {
    case kInteger:
      return double(in.signedVarint());
    case kFloat64:
      return std::bit_cast<double>(in.little<std::uint64_t>());
    case kFloat32:
      return double(std::bit_cast<float>(in.little<std::uint32_t>()));
    case kDecimal:
      return decimal(in.varint());
    case kDecimal32:
      return double(float(decimal(in.varint())));
  }
  fail("a number", in.what(), "a value of type " + std::to_string(tag));
}

void writeNumbers(ByteWriter& out, const std::vector<double>& values) {
  if (values.size() == 2 && same(values[0], values[1])) return out.byte(kTwice), writeNumber(out, values[0]);
  out.byte(values.size() == 2 ? kPair : kNumbers);
  if (values.size() != 2) out.varint(values.size());
  for (const double value : values) writeNumber(out, value);
}

void writeTexts(ByteWriter& out, StringWriter& strings, const std::vector<std::string>& texts) {
  bool ordinals = !texts.empty();
  for (std::size_t i = 0; i < texts.size() && ordinals; i++) ordinals = texts[i] == std::to_string(i);
  out.byte(ordinals ? kOrdinals : kTexts);
  out.varint(texts.size());
  if (!ordinals)
    for (const std::string& text : texts) strings.word(text);
}

}  // namespace

void writeValue(ByteWriter& out, StringWriter& strings, const FieldValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return out.byte(*flag ? kTrue : kFalse);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return writeInteger(out, *integer);
  if (const auto* number = std::get_if<double>(&value)) return writeDouble(out, *number);
  if (const auto* text = std::get_if<std::string>(&value)) return out.byte(kText), strings.word(*text);
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) return writeNumbers(out, *numbers);
  writeTexts(out, strings, std::get<std::vector<std::string>>(value));
}

FieldValue readValue(ByteReader& in, StringReader& strings) {
  const std::uint8_t tag = in.byte();
  if (tag >= kSmall) return std::int64_t(tag - kSmall);
  switch (tag) {
    case kFalse:
      return false;
    case kTrue:
      return true;
    case kInteger:
      return in.signedVarint();
    case kText:
      return strings.word();
    case kTwice:
      return std::vector<double>(2, readNumber(in, in.byte()));
    case kPair:
    case kNumbers: {
      std::vector<double> values(tag == kPair ? 2 : in.count("numbers", ~std::uint64_t(0)));
      for (double& value : values) value = readNumber(in, in.byte());
      return values;
    }
    case kTexts: {
      std::vector<std::string> texts(in.count("texts", ~std::uint64_t(0)));
      for (std::string& text : texts) text = strings.word();
      return texts;
    }
    case kOrdinals:
      return strings.ordinals(in.varint());
  }
  return readNumber(in, tag);
}

void writeFields(ByteWriter& out, StringWriter& strings, const Fields& fields) {
  for (const auto& [key, value] : fields) {
    strings.field(key);
    writeValue(out, strings, value);
  }
}

Fields readFields(ByteReader& in, StringReader& strings, std::size_t count) {
  Fields fields;
  for (std::size_t i = 0; i < count; i++) {
    std::string key = strings.field();
    FieldValue value = readValue(in, strings);
    fields.emplace_back(std::move(key), std::move(value));
  }
  return fields;
}

}  // namespace selfcompress::model
