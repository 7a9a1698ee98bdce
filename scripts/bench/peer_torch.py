"""PyTorch as the peer of the benches: the protocol of native/bench/bench_server.cpp, on standard input and output.

    threads N
    conv forward|gradInput|gradWeight IN OUT SIZE KERNEL PADDING BATCH     the faster of contiguous and channels_last
    depthwise forward|gradInput|gradWeight CHANNELS SIZE KERNEL PADDING BATCH
    quantize forward|backward CHANNELS PER_CHANNEL                         eager, as a user would write it
    step plain|compress BATCH                                              one training step of the notebook net, Adam
    version
"""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def seconds_of(run):
    run()
    start = time.perf_counter()
    runs = 0
    while True:
        run()
        runs += 1
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
    def __init__(self, ins, outs, kernel, compress):
        super().__init__()
        bound = (ins * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.empty(outs, ins, kernel, kernel).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outs))
        self.compress = compress
        if compress:
            self.exponent = nn.Parameter(torch.full((outs, 1, 1, 1), -8.0))
            self.depth = nn.Parameter(torch.full((outs, 1, 1, 1), 8.0))

    def bits(self):
        return self.depth.relu().sum() * self.weight[0].numel()

    def forward(self, x):
        weight = quantize(self.weight, self.depth, self.exponent) if self.compress else self.weight
        return F.conv2d(x, weight, self.bias)


def make_step(kind, batch):
    compress = kind == "compress"
    convs = [QuantizedConv(*shape, compress) for shape in ((1, 32, 5), (32, 32, 5), (32, 64, 3), (64, 64, 3))]
    net = nn.Sequential(
        convs[0], nn.ReLU(), convs[1], nn.ReLU(), nn.BatchNorm2d(32), nn.MaxPool2d(2),
        convs[2], nn.ReLU(), convs[3], nn.ReLU(), nn.BatchNorm2d(64), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(576, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    weights = sum(c.weight.numel() for c in convs)
    images, labels = torch.randn(batch, 1, 28, 28), torch.randint(0, 10, (batch,))

    def step():
        loss = F.cross_entropy(net(images), labels)
        if compress:
            loss = loss + 0.05 * sum(c.bits() for c in convs) / weights
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return [step]


def make_depthwise(which, channels, size, kernel, padding, batch):
    return make_conv(which, channels, channels, size, kernel, padding, batch, channels)


def make_conv(which, ins, outs, size, kernel, padding, batch, groups=1):
    runs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(batch, ins, size, size).contiguous(memory_format=layout)
        w = torch.randn(outs, ins // groups, kernel, kernel).contiguous(memory_format=layout)
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
    weight = torch.randn(channels, per_channel, requires_grad=backward)
    depth = torch.full((channels, 1), 4.0, requires_grad=backward)
    exponent = torch.full((channels, 1), -3.0, requires_grad=backward)
    if not backward:
        return [lambda: quantize(weight, depth, exponent)]
    grad = torch.randn(channels, per_channel)
    result = quantize(weight, depth, exponent)
    return [lambda: torch.autograd.grad(result, (weight, depth, exponent), grad, retain_graph=True)]


prepared = {}


def answer(line):
    words = line.split()
    if words[0] == "version":
        return f"PyTorch {torch.__version__}"
    if words[0] == "threads":
        torch.set_num_threads(int(words[1]))
        return 0.0
    if line not in prepared:
        prepared.clear()
        make = {"conv": make_conv, "depthwise": make_depthwise, "quantize": make_quantize, "step": make_step}[words[0]]
        prepared[line] = make(words[1], *map(int, words[2:]))
    if words[0] in ("conv", "depthwise"):
        with torch.no_grad():
            return min(seconds_of(run) for run in prepared[line])
    return min(seconds_of(run) for run in prepared[line])


for line in sys.stdin:
    print(answer(line.strip()), flush=True)
