// Cores and CPU quotas, from files as Linux has them.
#include <filesystem>
#include <fstream>
#include <string>

#include "cpu/processors.h"
#include "test/support.h"

using namespace test;
using cpu::usableCores;

namespace {

class FakeSystem {
 public:
  FakeSystem() : root_(std::filesystem::temp_directory_path() / ("selfcompress-system-" + std::to_string(++number_))) {
    std::filesystem::remove_all(root_);
  }
  ~FakeSystem() { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  // Two packages of `cores` cores with two processors each: processor p and p + 2 * cores share one.
  std::vector<int> topology(int cores) {
    std::vector<int> processors;
    for (int p = 0; p < 4 * cores; p++) {
      const std::string folder = "sys/devices/system/cpu/cpu" + std::to_string(p) + "/topology/";
      write(folder + "physical_package_id", std::to_string(p % (2 * cores) / cores) + "\n");
      write(folder + "core_id", std::to_string(p % cores) + "\n");
      processors.push_back(p);
    }
    return processors;
  }
  std::string root() const { return root_.string(); }

 private:
  static inline int number_ = 0;
  std::filesystem::path root_;
};

}  // namespace

TEST_CASE("threads: physical cores among the allowed processors") {
  FakeSystem system;
  std::vector<int> all = system.topology(4);
  CHECK(all.size() == 16);
  CHECK(usableCores(all, system.root()) == 8);
  CHECK(usableCores({0, 8}, system.root()) == 1);  // one core
  CHECK(usableCores({0, 1, 8}, system.root()) == 2);
  CHECK(usableCores({0, 4}, system.root()) == 2);      // the same core number of two packages
  CHECK(usableCores({0, 1, 99}, system.root()) == 3);  // a processor of which nothing is known
  CHECK(usableCores({0, 1, 2}, "/nonexistent") == 3);
  CHECK(usableCores({}, "/nonexistent") >= 1);
}

TEST_CASE("threads: quotas of control groups, version 2") {
  FakeSystem system;
  std::vector<int> all = system.topology(4);
  system.write("proc/self/cgroup", "0::/a/b\n");
  CHECK(usableCores(all, system.root()) == 8);
  system.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(usableCores(all, system.root()) == 8);
  system.write("sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
  CHECK(usableCores(all, system.root()) == 3);
  system.write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");  // the group above allows less: one and a half
  CHECK(usableCores(all, system.root()) == 2);
  system.write("sys/fs/cgroup/a/cpu.max", "5000 100000\n");
  CHECK(usableCores(all, system.root()) == 1);
  system.write("sys/fs/cgroup/a/cpu.max", "9000000 100000\n");
  CHECK(usableCores(all, system.root()) == 3);
  for (const char* nonsense : {"", "x y", "100000", "0 0", "-5 100000", "1e999 1"}) {
    system.write("sys/fs/cgroup/a/b/cpu.max", nonsense);
    CHECK(usableCores(all, system.root()) == 8);
  }
  FakeSystem container;  // the path is that of the host, what is mounted is the container's own group
  all = container.topology(4);
  container.write("proc/self/cgroup", "0::/kubepods/pod1/c2\n");
  container.write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(usableCores(all, container.root()) == 2);
}

TEST_CASE("threads: quotas of control groups, version 1") {
  FakeSystem system;
  std::vector<int> all = system.topology(4);
  system.write("proc/self/cgroup", "7:cpuset:/x\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n");
  for (const char* folder : {"sys/fs/cgroup/cpu,cpuacct/docker/1/", "sys/fs/cgroup/cpu/docker/1/"}) {
    system.write(folder + std::string("cpu.cfs_quota_us"), "-1\n");
    system.write(folder + std::string("cpu.cfs_period_us"), "100000\n");
    CHECK(usableCores(all, system.root()) == 8);
    system.write(folder + std::string("cpu.cfs_quota_us"), "250000\n");
    CHECK(usableCores(all, system.root()) == 3);
    system.write(folder + std::string("cpu.cfs_quota_us"), "-1\n");
  }
}
