#include "cpu/processors.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace selfcompress::cpu {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

bool readNumber(const std::string& path, double& value) { return bool(std::ifstream(path) >> value); }

// ---- physical cores ----

// Processors of one package and core share its arithmetic units. One whose core is not known counts as a core.
int physicalCores(const std::vector<int>& processors, const std::string& root) {
  std::set<std::pair<double, double>> cores;
  for (int processor : processors) {
    const std::string folder = root + "/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/";
    double package = 0, core = 0;
    if (!readNumber(folder + "physical_package_id", package) || !readNumber(folder + "core_id", core))
      package = -2, core = processor;
    cores.insert({package, core});
  }
  return int(cores.size());
}

// ---- control groups ----

// Cores' worth of time that one control group of version 2 allows: "max 100000" or "150000 100000".
double quotaOfVersion2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || !(period > 0)) return kNoLimit;
  double value = 0;
  return std::istringstream(quota) >> value && value > 0 ? value / period : kNoLimit;
}
double quotaOfVersion1(const std::string& folder) {
  double quota = 0, period = 0;
  if (!readNumber(folder + "/cpu.cfs_quota_us", quota) || !readNumber(folder + "/cpu.cfs_period_us", period))
    return kNoLimit;
  return quota > 0 && period > 0 ? quota / period : kNoLimit;  // -1: no limit
}

// The least quota of a group and of those that it is in. Inside a container the path may be that of the host: what does
// not exist has no limit, and the top of what is mounted is the container's own group.
template <class Quota>
double leastQuota(const std::string& mount, std::string group, Quota quotaOf) {
  double least = kNoLimit;
  for (;;) {
    least = std::min(least, quotaOf(mount + group));
    std::size_t slash = group.find_last_of('/');
    if (group.empty() || slash == std::string::npos) return least;
    group.resize(slash);
  }
}

// "cpu,cpuacct" has "cpu".
bool hasController(const std::string& list, const std::string& name) {
  return ("," + list + ",").find("," + name + ",") != std::string::npos;
}

double cpuQuota(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  double least = kNoLimit;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "0::/a/b" of version 2, "4:cpu,cpuacct:/a/b" of version 1
    std::size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers.empty()) {
      for (const char* folder : {"", "/unified"})
        least = std::min(least, leastQuota(mount + folder, group, quotaOfVersion2));
    } else if (hasController(controllers, "cpu")) {
      for (const std::string& folder : {"/" + controllers, std::string("/cpu")})
        least = std::min(least, leastQuota(mount + folder, group, quotaOfVersion1));
    }
  }
  return least;
}

#if defined(_WIN32)
int coresOfSystem() {
  DWORD bytes = 0;
  GetLogicalProcessorInformation(nullptr, &bytes);
  std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> list(bytes / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION));
  DWORD_PTR mine = 0, all = 0;
  if (list.empty() || !GetLogicalProcessorInformation(list.data(), &bytes) ||
      !GetProcessAffinityMask(GetCurrentProcess(), &mine, &all))
    return 0;
  return int(std::count_if(list.begin(), list.end(), [&](const auto& entry) {
    return entry.Relationship == RelationProcessorCore && (mine == 0 || (entry.ProcessorMask & mine) != 0);
  }));
}
#elif defined(__APPLE__)
int coresOfSystem() {
  int cores = 0;
  std::size_t size = sizeof cores;
  return sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0 ? cores : 0;
}
#else
int coresOfSystem() { return 0; }
#endif

}  // namespace

std::vector<int> allowedProcessors() {
  std::vector<int> processors;
#if defined(__linux__)
  for (int most = CPU_SETSIZE; most <= (1 << 16); most *= 2) {  // a kernel for more processors refuses a smaller set
    cpu_set_t* set = CPU_ALLOC(std::size_t(most));
    if (!set) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(std::size_t(most));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; known && i < most; i++)
      if (CPU_ISSET_S(std::size_t(i), bytes, set)) processors.push_back(i);
    CPU_FREE(set);
    if (known) break;
  }
#endif
  return processors;
}

int usableCores(const std::vector<int>& allowed, const std::string& root) {
  int cores = allowed.empty() ? coresOfSystem() : physicalCores(allowed, root);
  if (cores < 1) cores = int(std::thread::hardware_concurrency());
  const double quota = std::ceil(cpuQuota(root));
  return std::max(1, quota < cores ? int(quota) : cores);
}

}  // namespace selfcompress::cpu
