"""One compressing training step of a described network, as PyTorch's users write it: for peer_torch.py.

Reads a file {description, parameters} (`NetworkDescription`, and what `inspectNetwork` says of its parameters). Images are
[batch, channels, height, width]; sequences, patches of images too once positions are added, [batch, positions, channels].
"""
import json

import torch
import torch.nn.functional as F


def fresh(parameter):
    shape = parameter["shape"]
    if parameter["role"] in ("normWeight", "runningVar"):
        return torch.ones(shape)
    if parameter["role"] == "bitDepth":
        return torch.full(shape, 8.0)
    if parameter["role"] == "exponent":
        return torch.full(shape, -9.0)
    if parameter["role"] == "weight":
        fan_in = 1
        for size in shape[1:]:
            fan_in *= size
        return torch.empty(shape).uniform_(-1, 1) * fan_in**-0.5
    return torch.zeros(shape)


class Network:
    def __init__(self, path, quantize):
        with open(path) as file:
            job = json.load(file)
        self.nodes, self.output = job["description"]["nodes"], job["description"]["output"]
        self.tokens = job["description"].get("inputType") == "token"
        self.input = job["description"]["input"]
        self.quantize = quantize
        self.state = {p["name"]: fresh(p) for p in job["parameters"]}
        self.trained = [n for n in self.state if not n.endswith(("runningMean", "runningVar", "idle"))]
        for name in self.trained:
            self.state[name].requires_grad_(True)
        self.originals = sum(self.state[p["name"]].numel() for p in job["parameters"] if p["role"] == "weight")

    def parameters(self):
        return [self.state[name] for name in self.trained]

    def weight(self, name):
        w = self.state[name + ".weight"]
        depth = self.state.get(name + ".bitDepth")
        if depth is None:
            return w
        columns = (-1,) + (1,) * (w.dim() - 1)
        return self.quantize(w, depth.view(columns), self.state[name + ".exponent"].view(columns))

    def bits(self):
        """Average bits of an original weight."""
        total = 0
        for name in self.trained:
            if name.endswith(".bitDepth"):
                total = total + self.state[name].relu().sum() * self.state[name[:-9] + ".weight"][0].numel()
        return total / self.originals

    def forward(self, x):
        values = {"input": x}
        for node in self.nodes:
            values[node["name"]] = self.run(node, [values[n] for n in node["inputs"]])
        return values[self.output]

    def run(self, node, inputs):
        name, kind, y = node["name"], node["kind"], inputs[0]
        bias = self.state.get(name + ".bias")
        if kind == "conv2d":
            stride, padding = node.get("stride", 1), node.get("padding", 0)
            return F.conv2d(y, self.weight(name), bias, stride, padding, node.get("dilation", 1), node.get("groups", 1))
        if kind == "linear":
            return F.linear(y if node.get("perPosition") else y.flatten(1), self.weight(name), bias)
        if kind == "embedding":
            return F.embedding(y, self.weight(name).t())
        if kind == "parameter":
            return self.weight(name).flatten(1).t()
        if kind == "add":
            a, b = inputs
            return (a.flatten(2).transpose(1, 2) if a.dim() == 4 and b.dim() == 2 else a) + b
        if kind == "layerNorm":
            return F.layer_norm(y, y.shape[-1:], self.state[name + ".weight"], bias, node.get("epsilon", 1e-5))
        if kind == "batchNorm":
            mean, variance = self.state[name + ".runningMean"], self.state[name + ".runningVar"]
            return F.batch_norm(y, mean, variance, self.state.get(name + ".weight"), bias, training=True)
        if kind == "attention":
            return attention(node, *inputs)
        if kind == "globalAveragePool":
            return y.mean(1) if y.dim() == 3 else F.adaptive_avg_pool2d(y, 1)
        if kind == "clip":
            return F.hardtanh(y, node["low"], node["high"])
        return {"relu": F.relu, "gelu": F.gelu, "flatten": lambda t: t.flatten(1)}[kind](y)


def attention(node, query, key, value):
    def heads(t):
        return t.unflatten(-1, (node["heads"], -1)).transpose(1, 2)

    query, key, value = heads(query), heads(key), heads(value)
    scores = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
    if node["causal"]:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(mask, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


def steps(path, batch, quantize):
    """A step for each memory format that suits; the faster one counts."""
    formats = [torch.contiguous_format]
    with open(path) as file:
        if any(node["kind"] == "conv2d" for node in json.load(file)["description"]["nodes"]):
            formats.append(torch.channels_last)
    return [step_of(Network(path, quantize), batch, layout) for layout in formats]


def step_of(net, batch, layout):
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    if net.tokens:
        images = torch.randint(0, 64, (batch, net.input[-1]))
        labels = torch.randint(0, 64, (batch, net.input[-1]))
    else:
        images = torch.randn(batch, *net.input).contiguous(memory_format=layout)
        labels = torch.randint(0, 10, (batch,))

    def step():
        y = net.forward(images)
        loss = F.cross_entropy(y.flatten(0, 1) if net.tokens else y, labels.flatten()) + 0.05 * net.bits()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step
