"""PyTorch as the peer of the benches: the protocol of native/bench/bench_server.cpp, on standard input and output.

    threads N
    device cpu|cuda        of what follows; answers with its name
    precision fp32|tf32|bf16    of convolutions on a GPU; bf16: tensors of bfloat16, and a step under autocast
    conv forward|gradInput|gradWeight IN OUT SIZE KERNEL PADDING BATCH     the faster of contiguous and channels_last
    depthwise forward|gradInput|gradWeight CHANNELS SIZE KERNEL PADDING BATCH
    quantize forward|backward CHANNELS PER_CHANNEL                         eager, as a user would write it
    step plain|compress|resnet18 BATCH [WIDTH]                             one training step of the notebook net or of a
                                                                           compressing ResNet-18 for 32x32 images, Adam
    network FILE BATCH                                                     the same of a described network (peer_networks.py)
    version
"""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

import peer_networks


device = "cpu"
precision = "fp32"


def synchronize():
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(run):
    at_once = 20 if device == "cuda" else 1
    run()
    synchronize()
    start = time.perf_counter()
    runs = 0
    while True:
        for _ in range(at_once):
            run()
        synchronize()
        runs += at_once
        seconds = time.perf_counter() - start
        if seconds > 0.06:
            return seconds / runs


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


def quantize(weight, depth, exponent):
    depth = depth.relu()
    scale = torch.exp2(exponent)
    clipped = torch.minimum(torch.maximum(weight / scale, -torch.exp2(depth - 1)), torch.exp2(depth - 1) - 1)
    return scale * Round.apply(clipped)


class QuantizedConv(nn.Module):
    def __init__(self, ins, outs, kernel, compress, stride=1, padding=0, bias=True):
        super().__init__()
        bound = (ins * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(outs, ins, kernel, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outs)) if bias else None
        self.compress, self.stride, self.padding = compress, stride, padding
        if compress:
            self.exponent = nn.Parameter(torch.full((outs, 1, 1, 1), -8.0))
            self.depth = nn.Parameter(torch.full((outs, 1, 1, 1), 8.0))

    def bits(self):
        return self.depth.relu().sum() * self.weight[0].numel()

    def forward(self, x):
        weight = quantize(self.weight, self.depth, self.exponent) if self.compress else self.weight
        return F.conv2d(x, weight, self.bias, stride=self.stride, padding=self.padding)


class Block(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.first = QuantizedConv(ins, outs, 3, True, stride, 1, bias=False)
        self.second = QuantizedConv(outs, outs, 3, True, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outs), nn.BatchNorm2d(outs)])
        self.shortcut = nn.Identity()
        if stride != 1 or ins != outs:
            self.shortcut = nn.Sequential(QuantizedConv(ins, outs, 1, True, stride, bias=False), nn.BatchNorm2d(outs))

    def forward(self, x):
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(y)) + self.shortcut(x))


def notebook(compress):
    shapes = ((1, 32, 5), (32, 32, 5), (32, 64, 3), (64, 64, 3))
    convs = [QuantizedConv(*shape, compress) for shape in shapes]
    return nn.Sequential(
        convs[0], nn.ReLU(), convs[1], nn.ReLU(), nn.BatchNorm2d(32), nn.MaxPool2d(2),
        convs[2], nn.ReLU(), convs[3], nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(576, 10))


def resnet18(width):
    scaled = [round(c * width) for c in (64, 64, 128, 256, 512)]
    layers = [QuantizedConv(3, scaled[0], 3, True, 1, 1, bias=False), nn.BatchNorm2d(scaled[0]), nn.ReLU()]
    for stage in range(4):
        layers.append(Block(scaled[stage], scaled[stage + 1], 1 if stage == 0 else 2))
        layers.append(Block(scaled[stage + 1], scaled[stage + 1], 1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(scaled[-1], 10))


def make_step(kind, batch, width=100):
    net = resnet18(width / 100) if kind == "resnet18" else notebook(kind == "compress")
    shape = (3, 32, 32) if kind == "resnet18" else (1, 28, 28)
    net = net.to(device)
    if device == "cuda":
        net = net.to(memory_format=torch.channels_last)
    convs = [m for m in net.modules() if isinstance(m, QuantizedConv) and m.compress]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    weights = sum(c.weight.numel() for c in convs)
    images = torch.randn(batch, *shape, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(net(images), labels)
        if convs:
            loss = loss + 0.05 * sum(c.bits() for c in convs) / weights
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return [step]


def make_depthwise(which, channels, size, kernel, padding, batch):
    return make_conv(which, channels, channels, size, kernel, padding, batch, channels)


def make_conv(which, ins, outs, size, kernel, padding, batch, groups=1):
    runs = []
    kind = {"device": device, "dtype": torch.bfloat16 if precision == "bf16" else torch.float32}
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(batch, ins, size, size, **kind).contiguous(memory_format=layout)
        w = torch.randn(outs, ins // groups, kernel, kernel, **kind).contiguous(memory_format=layout)
        with torch.no_grad():
            grad = torch.randn_like(F.conv2d(x, w, padding=padding, groups=groups))
        args = (grad, x, w, [0], [1, 1], [padding, padding], [1, 1], False, [0, 0], groups)
        mask = [which == "gradInput", which == "gradWeight", False]
        if which == "forward":
            runs.append(lambda x=x, w=w: F.conv2d(x, w, padding=padding, groups=groups))
        else:
            runs.append(lambda args=args: torch.ops.aten.convolution_backward(*args, mask))
    return runs


def make_quantize(which, channels, per_channel):
    backward = which == "backward"
    weight = torch.randn(channels, per_channel, device=device, requires_grad=backward)
    depth = torch.full((channels, 1), 4.0, device=device, requires_grad=backward)
    exponent = torch.full((channels, 1), -3.0, device=device, requires_grad=backward)
    if not backward:
        return [lambda: quantize(weight, depth, exponent)]
    grad = torch.randn(channels, per_channel, device=device)
    result = quantize(weight, depth, exponent)
    return [lambda: torch.autograd.grad(result, (weight, depth, exponent), grad, retain_graph=True)]


prepared = {}


def answer(line):
    global device, precision
    words = line.split()
    if words[0] == "device":
        device = words[1]
        prepared.clear()
        return torch.cuda.get_device_name() if device == "cuda" else device
    if words[0] == "precision":
        precision = words[1]
        prepared.clear()
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
        torch.backends.cudnn.benchmark = True
        return precision
    if words[0] == "version":
        return f"PyTorch {torch.__version__}"
    if words[0] == "threads":
        torch.set_num_threads(int(words[1]))
        return 0.0
    if line not in prepared and words[0] == "network":
        prepared.clear()
        prepared[line] = peer_networks.steps(words[1], int(words[2]), quantize)
    elif line not in prepared:
        prepared.clear()
        make = {"conv": make_conv, "depthwise": make_depthwise, "quantize": make_quantize, "step": make_step}[words[0]]
        prepared[line] = make(words[1], *map(int, words[2:]))
    if words[0] in ("conv", "depthwise"):
        with torch.no_grad():
            return min(seconds_of(run) for run in prepared[line])
    return min(seconds_of(run) for run in prepared[line])


for line in sys.stdin:
    print(answer(line.strip()), flush=True)
