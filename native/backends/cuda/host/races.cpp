// Which accesses of two threads are ordered, and what is remembered of a word.
#include "cuda/host/execution.h"
#include "cuda/host/scheduler.h"

namespace selfcompress::cuda::host {
namespace {

constexpr std::uint32_t kManyBlocks = 0xffffffffu;

// Whether nothing orders `earlier`, of this launch, before the access `me`.
bool unordered(const Access& earlier, const Access& me, bool shared) {
  if (earlier.epoch != me.epoch || earlier.who & kUnknown) return false;
  if (!shared && earlier.block != me.block) return true;
  if (earlier.phase != me.phase) return false;
  if (earlier.who & kMany) return true;
  unsigned thread = earlier.who & kThreadBits, mine = me.who & kThreadBits;
  bool sameWarp = thread / 32 == mine / 32;
  if (earlier.who & kManyLanes) return !sameWarp || earlier.warpPhase == me.warpPhase;
  if (thread == mine) return false;
  return !sameWarp || earlier.warpPhase == me.warpPhase;
}

std::string whoDid(const Access& a, const Access& me, bool shared) {
  if (!shared && a.block == kManyBlocks) return "several blocks";
  if (!shared && a.block != me.block) return "block number " + std::to_string(a.block);
  if (a.who & kMany) return "several warps";
  if (a.who & kManyLanes) return "several lanes of warp " + std::to_string((a.who & kThreadBits) / 32);
  return "thread number " + std::to_string(a.who & kThreadBits);
}

void race(const char* now, const char* before, const Access& earlier, const Access& me, bool shared) {
  if (!settings().races) return;
  fault(std::string("race: ") + now + " a word of " + (shared ? "shared" : "global") + " memory that " +
        whoDid(earlier, me, shared) + " " + before + ", with no barrier in between");
}

bool pending(const Word& w, const Access& me) { return w.write.epoch == me.epoch && w.write.who & kPending; }

// The readers (or atomic writers) of a word, `me` included.
void merge(Access& seen, const Access& me, bool shared) {
  if (seen.epoch != me.epoch || seen.who & kUnknown) {
    seen = me;
  } else if (!shared && seen.block != me.block) {
    seen.block = kManyBlocks, seen.who = kMany;
  } else if (seen.phase != me.phase) {
    seen = me;
  } else if (!(seen.who & kMany)) {
    unsigned thread = seen.who & kThreadBits, mine = me.who & kThreadBits;
    if (thread / 32 != mine / 32) seen.who = kMany;
    else if (seen.warpPhase != me.warpPhase) seen = me;
    else if (thread != mine) seen.who = std::uint16_t(thread | kManyLanes);
  }
}

}  // namespace

void slowRead(Word& w, const Access& me, bool shared) {
  if (shared && w.write.epoch != me.epoch) fault("reads shared memory that nobody has written");
  if (pending(w, me)) fault("reads shared memory whose asynchronous copy was not waited for");
  if (unordered(w.write, me, shared)) race("reads", "has written", w.write, me, shared);
  merge(w.read, me, shared);
}

void slowWrite(Word& w, const Access& me, bool shared, bool sameValue) {
  if (pending(w, me)) fault("writes shared memory while an asynchronous copy to it is under way");
  if (!sameValue) {
    if (unordered(w.write, me, shared)) race("writes", "has written", w.write, me, shared);
    if (unordered(w.read, me, shared)) race("writes", "has read", w.read, me, shared);
  }
  w.write = me;
}

void noteAtomic(Word& w, const Access& me, bool shared, bool exact) {
  if (shared && w.write.epoch != me.epoch) fault("adds to shared memory that nobody has written");
  if (pending(w, me)) fault("adds to shared memory while an asynchronous copy to it is under way");
  bool afterAtomic = exact && w.write.who & kAtomic;
  if (!afterAtomic && unordered(w.write, me, shared))
    race(exact ? "adds to" : "adds a floating-point number, by an order that may change, to", "has written", w.write,
         me, shared);
  if (unordered(w.read, me, shared)) race("adds to", "has read", w.read, me, shared);
  if (afterAtomic) merge(w.write, me, shared);
  else w.write = me;
  w.write.who |= kAtomic;
}

void noteUnknown(Word& w, const Access& me) {
  w.write = me;
  w.write.who = kUnknown;
}

void noteCopyBegins(Word& w, const Access& me) {
  slowWrite(w, me, true, false);
  w.write.who |= kPending;
}
void noteCopyEnds(Word& w, const Access& me) { w.write = me; }

void noteAtomicAt(const void* at, std::size_t bytes, bool exact) {
  const Block& b = *current->block;
  auto* address = static_cast<const unsigned char*>(at);
  bool shared = address >= b.shared && address + bytes <= b.shared + b.sharedBytes;
  Word* words = nullptr;
  if (shared) {
    words = sharedWords(at);
  } else {
    const Allocation& a = allocationOf(at);
    if (address < a.data || address + bytes > a.data + a.bytes) fault("atomicAdd outside an allocation");
    words = a.words + (address - a.data) / 4;
  }
  for (std::size_t k = 0; k < bytes / 4; k++)
    noteAtomic(words[k], shared ? current->inShared : current->inGlobal, shared, exact);
}

}  // namespace selfcompress::cuda::host
