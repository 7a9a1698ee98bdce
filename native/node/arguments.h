// Checks of everything that comes from JavaScript. Nothing reaches the library that has not passed through here.
//
// Wrong types throw a TypeError, wrong sizes and ranges a RangeError, of the form
// `Expected <what> for <argument> but received <value>`.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace selfcompress::node {

inline constexpr int kMostChannels = 1 << 24;
inline constexpr int kMostPixels = 1 << 15;  // height or width of an image
inline constexpr int kMostKernel = 1 << 14;  // kernel, stride, padding, dilation
inline constexpr int kMostBatch = 1 << 20;

std::string received(const Napi::Value&);  // short text of a value for an error message
[[noreturn]] void throwType(Napi::Env, const std::string& what, const std::string& argument, const std::string& got);
[[noreturn]] void throwRange(Napi::Env, const std::string& what, const std::string& argument, const std::string& got);

// A JavaScript object of named arguments at `path` (empty: the arguments themselves).
class Fields {
 public:
  Fields(const Napi::Value&, std::string path);
  // TypeError for a name that is not among these, with the nearest that is.
  void allowOnly(const std::vector<const char*>& names) const;

  Napi::Env env() const { return object_.Env(); }
  std::string path(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }
  bool has(const char* name) const;
  Napi::Value get(const char* name) const { return object_.Get(name); }

  double number(const char* name, double low, double high) const;
  double number(const char* name, double low, double high, double otherwise) const {
    return has(name) ? number(name, low, high) : otherwise;
  }
  int integer(const char* name, int low, int high) const;
  int integer(const char* name, int low, int high, int otherwise) const {
    return has(name) ? integer(name, low, high) : otherwise;
  }
  std::uint64_t safeInteger(const char* name, double low) const;  // up to 2^53 - 1
  bool boolean(const char* name, bool otherwise) const;
  std::string string(const char* name) const;
  // Index of the string among `names`.
  int choice(const char* name, const std::vector<const char*>& names) const;
  int choice(const char* name, const std::vector<const char*>& names, int otherwise) const {
    return has(name) ? choice(name, names) : otherwise;
  }
  std::array<int, 2> pair(const char* name, int low, int high) const;
  std::array<int, 2> pair(const char* name, int low, int high, std::array<int, 2> otherwise) const {
    return has(name) ? pair(name, low, high) : otherwise;
  }
  std::array<int, 3> imageShape(const char* name) const;  // [channels, height, width]
  Napi::Array array(const char* name) const;

 private:
  Napi::Object object_;
  std::string path_;
};

int integerFrom(const Napi::Value&, const std::string& path, int low, int high);
double numberFrom(const Napi::Value&, const std::string& path, double low, double high);

// The typed arrays of one call, used in place. Reading other arguments may run user code (getters), so `verify` looks
// at all of them again once everything has been read.
class TypedArrays {
 public:
  enum class Access { kRead, kWrite };
  // `length` < 0: any. A nullptr is returned for an optional array that is absent.
  float* floats(const Fields&, const char* name, std::int64_t length, Access);
  float* optionalFloats(const Fields&, const char* name, std::int64_t length, Access);
  std::int32_t* integers(const Fields&, const char* name, std::int64_t length, Access);
  std::uint8_t* bytesOrFloats(const Fields&, const char* name, std::int64_t length, bool& isFloat);
  std::size_t lengthOf(const char* name) const;

  // Written arrays may overlap no other, except that `first` and `second` may be the very same.
  void allowSame(const char* first, const char* second) { same_.push_back({first, second}); }
  void verify() const;
  std::vector<Napi::Reference<Napi::Value>> keepAlive() const;

 private:
  struct Entry {
    std::string name, path;
    Napi::TypedArray array;
    std::uint8_t* data;
    std::size_t bytes, length;
    Access access;
  };
  Entry& add(const Napi::Value&, const std::string& name, const std::string& path,
             std::initializer_list<napi_typedarray_type>, std::int64_t length, Access);
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, std::string>> same_;
};

}  // namespace selfcompress::node
