// libFuzzer: the files that Linux describes its control groups in, with any contents. The first line is that of
// /proc/self/cgroup, the rest that of the quota. Whatever they say, there is at least one thread and no more than one
// for each processor.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "cpu/processors.h"

namespace {

// Removed when the process ends.
struct Root {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("selfcompress-fuzz-" + std::to_string(getpid()));
  Root() {
    for (const char* folder : {"proc/self", "sys/fs/cgroup/a", "sys/fs/cgroup/cpu/a"})
      std::filesystem::create_directories(path / folder);
  }
  ~Root() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  void write(const char* file, const std::string& text) const { std::ofstream(path / file) << text; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Root root;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find('\n'), text.size());
  root.write("proc/self/cgroup", text.substr(0, end) + "\n");
  for (const char* file : {"sys/fs/cgroup/cpu.max", "sys/fs/cgroup/a/cpu.max", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us"})
    root.write(file, text.substr(std::min(end + 1, text.size())));
  root.write("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  const int cores = selfcompress::cpu::usableCores({0, 1, 2}, root.path.string());
  if (cores < 1 || cores > 3) std::abort();
  return 0;
}
