// Strings and field values as bytes (docs/model-file.md, "Values").
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/bytes.h"
#include "model/limits.h"
#include "model/structure.h"

namespace selfcompress::model {

// The strings of one head: each is spelled out where it first occurs, and referred to afterwards.
class StringWriter {
 public:
  explicit StringWriter(ByteWriter& out);
  void kind(const std::string& text) { reference(text, kinds_); }
  void field(const std::string& text) { reference(text, fields_); }
  void word(const std::string& text) { reference(text, words_); }

 private:
  using Index = std::map<std::string, std::uint64_t>;
  void reference(const std::string& text, const Index& names);
  ByteWriter& out_;
  Index kinds_, fields_, words_, own_;
};

class StringReader {
 public:
  StringReader(ByteReader& in, const Limits& limits) : in_(in), left_(limits.textBytes) {}
  std::string kind();
  std::string field();
  std::string word();
  // Text that is not in the pool: length and bytes.
  std::string text();
  std::uint64_t left() const { return left_; }
  // "0", "1", ... count - 1
  std::vector<std::string> ordinals(std::uint64_t count);

 private:
  std::string reference(std::span<const char* const> names);
  std::string counted(std::string text);
  ByteReader& in_;
  std::vector<std::string> own_;
  std::uint64_t left_;  // text that may still be asked for
};

void writeValue(ByteWriter& out, StringWriter& strings, const FieldValue& value);
FieldValue readValue(ByteReader& in, StringReader& strings);

void writeFields(ByteWriter& out, StringWriter& strings, const Fields& fields);
Fields readFields(ByteReader& in, StringReader& strings, std::size_t count);

}  // namespace selfcompress::model
