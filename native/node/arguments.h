// Checks of everything that comes from JavaScript. Nothing reaches the library that has not passed through here.
//
// Wrong types throw a TypeError, wrong sizes and ranges a RangeError, of the form
// `Expected <what> for <argument> but received <value>` (errors.h).
//
// A call has three phases, in this order:
//   1. Read: every argument is read, each property once (Fields, TypedArrays, integerFrom, ...). Only here can code of
//      the user run: getters, proxies. It may do anything: change other arguments, detach their memory, dispose of the
//      network whose method is being called.
//   2. Verify: TypedArrays::verify, and whatever else may have changed since it was read (is the network disposed?).
//   3. Use: memory of typed arrays, objects behind wrappers, queueing. Nothing is read from JavaScript any more.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/errors.h"

namespace selfcompress::node {

inline constexpr int kMostChannels = 1 << 24;
inline constexpr int kMostPixels = 1 << 15;  // height or width of an image
inline constexpr int kMostKernel = 1 << 14;  // kernel, stride, padding, dilation
inline constexpr int kMostBatch = 1 << 20;
inline constexpr std::int64_t kMostElements = std::int64_t(1) << 40;  // of one tensor of a batch

// Short text of a value for an error message. May run code of the user; never throws.
std::string received(const Napi::Value&);

// What a getter or a proxy throws while `read` reads the argument at `path` becomes a TypeError that names the
// argument, with the exception as its `cause`.
[[noreturn]] void throwUnreadable(Napi::Env, const std::string& path, const Napi::Error&);
template <class Read>
auto reading(Napi::Env env, const std::string& path, Read read) {
  try {
    return read();
  } catch (const Napi::Error& error) {
    throwUnreadable(env, path, error);
  }
}

// The product of sizes that were given as arguments, or a RangeError that names them: it may not exceed `most`.
struct Factor {
  const char* name;
  std::int64_t value;  // >= 0
};
std::int64_t product(Napi::Env, const std::vector<Factor>&, std::int64_t most = kMostElements);

// An object of named arguments at `path` (empty: the arguments themselves). Arrays, maps, dates, promises, memory and
// the like are none. Every property is read once, so that what was checked is what is used.
class Fields {
 public:
  Fields(const Napi::Value&, std::string path);
  // One whose properties are data, such as a state: its prototype is Object.prototype or null.
  static Fields plain(const Napi::Value&, const std::string& path);
  std::vector<std::string> ownNames() const;  // enumerable ones
  // TypeError for a name that is not among these, with the nearest that is.
  void allowOnly(const std::vector<const char*>& names) const;

  Napi::Env env() const { return object_.Env(); }
  std::string path(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }
  bool has(const char* name) const;
  Napi::Value get(const std::string& name) const;

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
  std::shared_ptr<std::unordered_map<std::string, Napi::Value>> read_;
};

// A string in UTF-8; a RangeError for one that is no whole text (half of a surrogate pair), which UTF-8 would change.
std::string textOf(const Napi::Value&, const std::string& path);

// Element i of the array at `path`.
Napi::Value elementOf(const Napi::Array&, std::uint32_t i, const std::string& path);

int integerFrom(const Napi::Value&, const std::string& path, int low, int high);
double numberFrom(const Napi::Value&, const std::string& path, double low, double high);

// The typed arrays of one call, used in place. Their memory may only be touched after `verify`, which looks at all of
// them again once every argument of the call has been read, and before anything else is.
class TypedArrays {
 public:
  enum class Access { kRead, kWrite };
  // `length` < 0: any. A nullptr is returned for an optional array that is absent.
  float* floats(const Fields&, const std::string& name, std::int64_t length, Access);
  const float* floats(const Napi::Value&, const std::string& path, std::int64_t length);  // an argument of its own
  const std::int32_t* integers(const Napi::Value&, const std::string& path, std::int64_t length);
  float* optionalFloats(const Fields&, const char* name, std::int64_t length, Access);
  std::int32_t* integers(const Fields&, const char* name, std::int64_t length, Access);
  std::uint8_t* bytesOrFloats(const Fields&, const char* name, std::int64_t length, bool& isFloat);
  std::size_t lengthOf(const std::string& name) const;

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
