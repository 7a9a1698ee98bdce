// Residual addition and copies of channels: a float4 for each thread, every operand read once, the result written once.
// And the bookkeeping of channel states: a thread for each channel; the list of live channels, whose order matters, by
// one block that counts with ballots.
#include "cuda/kernels/common.cuh"

namespace selfcompress::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) addKernel(Add a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total) return;
  const unsigned channel = channelOf(planes, v);
  const bool noA = isZero(a.stateA, channel), noB = isZero(a.stateB, channel);
  if (noA && noB) return;
  const std::int64_t at = std::int64_t(v) * 4;
  const float4 none{0, 0, 0, 0}, x = noA ? none : global(a.a).load4(at), y = noB ? none : global(a.b).load4(at);
  global(a.output).store4(at, map(x, y, [&](float xi, float yi) { return a.relu ? relu(xi + yi) : xi + yi; }));
}

// planes: of the copied channels.
__global__ void __launch_bounds__(kThreads) copyChannelsKernel(CopyChannels a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total) return;
  const unsigned plane = v / planes.perPlane, inPlane = v % planes.perPlane, i = plane % planes.channels;
  const std::int64_t block = plane / planes.channels;
  if (isZero(a.state, i)) return;
  const std::int64_t from = ((block * a.input.channels + a.inFirst + i) * planes.perPlane + inPlane) * 4,
                     to = ((block * a.output.channels + a.outFirst + i) * planes.perPlane + inPlane) * 4;
  const auto target = global(a.target);
  float4 x = global(a.source).load4(from);
  if (a.accumulate) x = map(target.load4(to), x, [](float t, float s) { return t + s; });
  target.store4(to, x);
}

__global__ void __launch_bounds__(kThreads) clearChannelsKernel(ClearChannels a, Planes planes) {
  const unsigned v = threadInGrid();
  if (v >= planes.total || !isZero(a.state, channelOf(planes, v))) return;
  global(a.output).store4(std::int64_t(v) * 4, float4{0, 0, 0, 0});
}

__global__ void __launch_bounds__(kThreads) stateFromBitsKernel(StateFromBits a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  bool live = !a.bitDepth || !isDead(global(a.bitDepth)[c]);
  if (a.depthwiseInput && global(a.depthwiseInput)[c / a.multiplier] == kZero) live = false;
  global(a.output)[c] = live ? kLive : !a.bias || global(a.bias)[c] == 0 ? kZero : kConstant;
}

__global__ void __launch_bounds__(kThreads) stateThroughNormKernel(StateThroughNorm a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const std::int32_t input = global(a.input)[c];
  bool shift = a.bias && global(a.bias)[c] != 0;
  if (a.runningMean) shift = shift || global(a.runningMean)[c] != 0 || input == kConstant;
  global(a.output)[c] = input == kLive ? kLive : shift ? kConstant : kZero;
}

__global__ void __launch_bounds__(kThreads) stateOfSumKernel(StateOfSum a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const std::int32_t x = global(a.a)[c], y = global(a.b)[c];
  global(a.output)[c] = x == kLive || y == kLive ? kLive : x == kZero && y == kZero ? kZero : kConstant;
}

__global__ void __launch_bounds__(kThreads) stateOfProductKernel(StateOfProduct a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const std::int32_t x = global(a.a)[c], y = global(a.b)[a.oneB ? 0 : c];
  global(a.output)[c] = x == kZero || y == kZero ? kZero : x == kLive || y == kLive ? kLive : kConstant;
}

__global__ void __launch_bounds__(kThreads) stateThroughActivationKernel(StateThroughActivation a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const std::int32_t input = global(a.input)[c];
  global(a.output)[c] = input == kZero && !a.keepsZero ? std::int32_t(kConstant) : input;
}

__global__ void __launch_bounds__(kThreads) stateThroughLayerNormKernel(StateThroughLayerNorm a) {
  const int c = int(threadInGrid());
  if (c >= a.channels) return;
  const bool shift = a.bias && global(a.bias)[c] != 0, scale = !a.weight || global(a.weight)[c] != 0;
  ChannelState state = kLive;
  if (global(a.input)[c] == kZero) state = a.rms ? (shift ? kConstant : kZero) : shift || scale ? kLive : kZero;
  global(a.output)[c] = state;
}

__global__ void __launch_bounds__(kThreads) stateCopyKernel(StateCopy a) {
  const unsigned i = threadInGrid();
  if (i >= unsigned(a.channels) * unsigned(a.repeat)) return;
  global(a.output)[a.outFirst + std::int64_t(i)] = global(a.input)[i / unsigned(a.repeat)];
}

// One block. Each round takes as many channels as the block has threads; a warp's listed channels are counted with a
// ballot, and follow those of the warps before it.
__global__ void __launch_bounds__(kThreads) listChannelsKernel(ListChannels a) {
  Shared<int> counts = sharedArray<int>(0, kWarps);
  const int t = int(threadIdx.x), warp = t / 32, lane = t % 32;
  const auto index = global(a.index);
  int listed = 0;
  for (int first = 0; first < a.channels; first += kThreads) {
    const int c = first + t;
    const std::int32_t state = c < a.channels ? global(a.state)[c] : std::int32_t(kZero);
    const bool take = a.keepConstant ? state != kZero : state == kLive;
    const unsigned votes = __ballot_sync(kAllLanes, take);
    int before = 0, inWarp = 0;
    for (int l = 0; l < 32; l++) {
      const int vote = int(votes >> l & 1);
      inWarp += vote;
      before += l < lane ? vote : 0;
    }
    if (lane == 0) counts[warp] = inWarp;
    __syncthreads();
    int all = 0;
    for (int w = 0; w < kWarps; w++) {
      const int count = counts[w];
      before += w < warp ? count : 0;
      all += count;
    }
    if (take) index[listed + before] = c;
    listed += all;
    __syncthreads();  // before the next round writes the counts
  }
  if (t == 0) global(a.count)[0] = listed;
}

template <class Operation>
void launchForChannels(Stream& stream, const char* name, void (*kernel)(Operation), const Operation& a,
                       std::int64_t count) {
  launch(stream, name, kernel, dim3(blocksFor(count)), dim3(kThreads), 0, a);
}

}  // namespace

void enqueue(Stream& stream, const Add& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  launch(stream, "add", addKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const CopyChannels& a) {
  planesOf(a.input, a.batch), planesOf(a.output, a.batch);  // their sizes
  const Planes planes = planesOf({a.count, a.input.height, a.input.width}, a.batch);
  launch(stream, "copy channels", copyChannelsKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const ClearChannels& a) {
  const Planes planes = planesOf(a.shape, a.batch);
  launch(stream, "clear channels", clearChannelsKernel, dim3(blocksFor(planes.total)), dim3(kThreads), 0, a, planes);
}

void enqueue(Stream& stream, const StateFromBits& a) {
  launchForChannels(stream, "state from bits", stateFromBitsKernel, a, a.channels);
}
void enqueue(Stream& stream, const StateThroughNorm& a) {
  launchForChannels(stream, "state through norm", stateThroughNormKernel, a, a.channels);
}
void enqueue(Stream& stream, const StateOfSum& a) {
  launchForChannels(stream, "state of sum", stateOfSumKernel, a, a.channels);
}
void enqueue(Stream& stream, const StateOfProduct& a) {
  launchForChannels(stream, "state of product", stateOfProductKernel, a, a.channels);
}
void enqueue(Stream& stream, const StateThroughActivation& a) {
  launchForChannels(stream, "state through activation", stateThroughActivationKernel, a, a.channels);
}
void enqueue(Stream& stream, const StateThroughLayerNorm& a) {
  launchForChannels(stream, "state through layer norm", stateThroughLayerNormKernel, a, a.channels);
}
void enqueue(Stream& stream, const StateCopy& a) {
  launchForChannels(stream, "state copy", stateCopyKernel, a, std::int64_t(a.channels) * a.repeat);
}
void enqueue(Stream& stream, const ListChannels& a) {
  launch(stream, "list channels", listChannelsKernel, dim3(1), dim3(kThreads), kWarps * sizeof(int), a);
}

}  // namespace selfcompress::cuda
