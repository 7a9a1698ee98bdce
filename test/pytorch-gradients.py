# The same network in PyTorch, with the quantizer written as an autograd function of its own: reads one JSON document
# (description, state, images, labels, gamma) and prints loss, Q and all gradients. Used by 23-pytorch.test.mjs.
import json
import math
import sys

import torch
import torch.nn.functional as F


class StraightThroughRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g


def quantize(w, b, e):
    shape = [-1] + [1] * (w.dim() - 1)
    beta = torch.relu(b).view(shape)
    scale = torch.exp2(e).view(shape)
    low, high = -torch.exp2(beta - 1), torch.exp2(beta - 1) - 1
    q = scale * StraightThroughRound.apply(torch.minimum(torch.maximum(w / scale, low), high))
    return q * (b > 0).view(shape)


FUNCTIONS = {
    "relu": lambda y, node: F.relu(y),
    "gelu": lambda y, node: F.gelu(y),
    "geluTanh": lambda y, node: F.gelu(y, approximate="tanh"),
    "silu": lambda y, node: F.silu(y),
    "sigmoid": lambda y, node: torch.sigmoid(y),
    "tanh": lambda y, node: torch.tanh(y),
    "hardSigmoid": lambda y, node: F.hardsigmoid(y),
    "hardSwish": lambda y, node: F.hardswish(y),
    "leakyRelu": lambda y, node: F.leaky_relu(y, node["slope"]),
    "clip": lambda y, node: y.clamp(node["low"], node["high"]),
    "elu": lambda y, node: F.elu(y, node.get("alpha", 1.0)),
    "softplus": lambda y, node: F.softplus(y),
    "exp": lambda y, node: torch.exp(y),
    "log": lambda y, node: torch.log(y),
    "sqrt": lambda y, node: torch.sqrt(y),
    "abs": lambda y, node: torch.abs(y),
    "square": lambda y, node: y * y,
    "reciprocal": lambda y, node: 1 / y,
    "affine": lambda y, node: node.get("scale", 1.0) * y + node.get("offset", 0.0),
}


def main():
    job = json.load(sys.stdin)
    state = {k: torch.tensor(v["data"], dtype=torch.float64).view(v["shape"]) for k, v in job["state"].items()}
    trained = [k for k in state if not k.endswith(("runningMean", "runningVar"))]
    for k in trained:
        state[k].requires_grad_(True)
    x = torch.tensor(job["images"], dtype=torch.float64).view(job["imageShape"])
    values = {"input": x}
    live = {"input": torch.ones(x.shape[1], dtype=torch.bool)}  # channels that are not dead: only these count in Q
    original = sum(v.numel() for k, v in state.items() if k.endswith(".weight") and v.dim() > 1)
    penalty = 0
    for node in job["description"]["nodes"]:
        name, kind = node["name"], node["kind"]
        y, alive = values[node["inputs"][0]], live[node["inputs"][0]]
        if kind in ("conv2d", "linear"):
            w, b = state[name + ".weight"], state.get(name + ".bias")
            if name + ".bitDepth" in state:
                area = w[0, 0].numel()
                groups = node.get("groups", 1)
                inputs = alive if kind == "conv2d" else alive.repeat_interleave(y[0, 0].numel())
                inputs = inputs.view(groups, -1).sum(1).repeat_interleave(w.shape[0] // groups)  # of each output's group
                penalty = penalty + (torch.relu(state[name + ".bitDepth"]) * inputs).sum() * area / original
                alive = state[name + ".bitDepth"] > 0
                w = quantize(w, state[name + ".bitDepth"], state[name + ".exponent"])
            if kind == "conv2d":
                y = F.conv2d(y, w, b, node.get("stride", [1, 1]), node.get("padding", [0, 0]), node.get("dilation", [1, 1]), node.get("groups", 1))
            else:
                y = F.linear(y.flatten(1), w, b)[:, :, None, None]
        elif kind == "batchNorm":
            y = F.batch_norm(y, None, None, state.get(name + ".weight"), state.get(name + ".bias"), training=True, eps=1e-5)
        elif kind in FUNCTIONS:
            y = FUNCTIONS[kind](y, node)
        elif kind == "prelu":
            y = F.prelu(y, state[name + ".slope"])
        elif kind == "layerNorm":
            y = F.layer_norm(y.movedim(1, -1), [y.shape[1]], state.get(name + ".weight"), state.get(name + ".bias")).movedim(-1, 1)
            alive = torch.ones_like(alive)  # a constant that is not zero comes out different for every image
        elif kind == "rmsNorm":
            y = y / torch.sqrt((y * y).mean(1, keepdim=True) + 1e-5) * state[name + ".weight"].view(1, -1, 1, 1)
            alive = torch.ones_like(alive)
        elif kind == "instanceNorm":
            y = F.instance_norm(y, weight=state.get(name + ".weight"), bias=state.get(name + ".bias"))
        elif kind == "groupNorm":
            y = F.group_norm(y, node["groups"], state.get(name + ".weight"), state.get(name + ".bias"))
            alive = torch.ones_like(alive)
        elif kind == "softmax":
            y = torch.softmax(y, 1 if node.get("axis", "channels") == "channels" else 3)
            alive = torch.ones_like(alive) if node.get("axis", "channels") == "channels" else alive
        elif kind == "maxPool":
            y = F.max_pool2d(y, node["kernel"], node.get("stride"), node.get("padding", [0, 0]))
        elif kind == "averagePool":
            y = F.avg_pool2d(y, node["kernel"], node.get("stride"), node.get("padding", [0, 0]))
        elif kind == "globalAveragePool":
            y = y.mean((2, 3), keepdim=True)
        elif kind == "add":
            y, alive = y + values[node["inputs"][1]], alive | live[node["inputs"][1]]
        elif kind == "subtract":
            y, alive = y - values[node["inputs"][1]], alive | live[node["inputs"][1]]
        elif kind == "multiply":
            y, alive = y * values[node["inputs"][1]], alive | live[node["inputs"][1]]
        elif kind == "divide":
            y, alive = y / values[node["inputs"][1]], alive | live[node["inputs"][1]]
        elif kind == "concat":
            y, alive = torch.cat([values[i] for i in node["inputs"]], 1), torch.cat([live[i] for i in node["inputs"]])
        elif kind == "flatten":
            alive = alive.repeat_interleave(y[0, 0].numel())
            y = y.flatten(1)[:, :, None, None]
        values[name], live[name] = y, alive
    logits = values[job["description"]["output"]].flatten(1)
    loss = F.cross_entropy(logits, torch.tensor(job["labels"]), label_smoothing=job["labelSmoothing"])
    (loss + job["gamma"] * penalty).backward()
    gradients = {k: state[k].grad.flatten().tolist() if state[k].grad is not None else None for k in trained}
    json.dump({"loss": loss.item(), "bitsPerWeight": float(penalty), "gradients": gradients}, sys.stdout)


main()
