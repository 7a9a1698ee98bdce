# Plain training steps (SGD without momentum, cross-entropy) of a described network in PyTorch: reads one JSON document (description,
# state, images, labels, learningRate) and prints the losses of three steps in double and in single precision. For 80-models-by-name
# and 87-language-models, whose sequences are [batch, channels, positions] here too.
import json
import sys

import torch
import torch.nn.functional as F


def forward(description, state, x):
    values = {"input": x}
    for node in description["nodes"]:
        name, kind, y = node["name"], node["kind"], values[node["inputs"][0]]
        w, b = state.get(name + ".weight"), state.get(name + ".bias")
        if kind == "conv2d":
            y = F.conv2d(y, w, b, node.get("stride", 1), node.get("padding", 0), node.get("dilation", 1), node.get("groups", 1))
        elif kind == "linear":
            y = F.linear(y.movedim(1, -1), w, b).movedim(-1, 1) if node.get("perPosition") else F.linear(y.flatten(1), w, b)
        elif kind == "embedding":
            y = w.t()[y.long()].transpose(1, 2)
        elif kind == "unembedding":
            y = torch.einsum("dv,ndt->nvt", state[node["inputs"][1] + ".weight"], y)
        elif kind == "parameter":
            y = w.view(-1, *y.shape[2:] if y.dim() > 2 else w.shape[1:]).expand(y.shape[0], -1, *[-1] * max(y.dim() - 2, 1))
        elif kind == "layerNorm":
            y = F.layer_norm(y.movedim(1, -1), (y.shape[1],), w, b, node.get("epsilon", 1e-5)).movedim(-1, 1)
        elif kind in pointwise:
            y = pointwise[kind](y)
        elif kind == "clip":
            y = y.clamp(node["low"], node["high"])
        elif kind == "convTranspose2d":
            y = F.conv_transpose2d(y, w.transpose(0, 1), b, node.get("stride", 1), node.get("padding", 0))
        elif kind == "concat":
            y = torch.cat([values[name] for name in node["inputs"]], 1)
        elif kind == "multiply":
            y = y * values[node["inputs"][1]]
        elif kind == "attention":
            y = attention(node, *(values[name].flatten(2) for name in node["inputs"])).view_as(y)
        elif kind == "lstm":
            y = lstm(y, w, b)
        elif kind == "batchNorm":
            y = F.batch_norm(y, None, None, w, b, training=True, eps=node.get("epsilon", 1e-5))
        elif kind == "maxPool":
            y = F.max_pool2d(y, node["kernel"], node.get("stride"), node.get("padding", 0))
        elif kind == "globalAveragePool":
            y = y.mean((2, 3), keepdim=True)
        elif kind == "add":
            y = y + values[node["inputs"][1]]
        elif kind == "flatten":
            y = y.flatten(1)
        else:
            sys.exit("no such kind here: " + kind)
        values[name] = y
    y = values[description["output"]]
    return y.flatten(2) if y[0, 0].numel() > 1 else y.flatten(1)


pointwise = {"relu": F.relu, "gelu": F.gelu, "hardSwish": F.hardswish, "hardSigmoid": F.hardsigmoid}


def attention(node, query, key, value):
    heads = lambda t: t.unflatten(1, (node["heads"], -1)).transpose(2, 3)
    query, key, value = heads(query), heads(key), heads(value)
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    if node["causal"]:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    y = scores.softmax(-1) @ value
    return y.transpose(2, 3).flatten(1, 2)


def lstm(x, recurrent, bias):
    hidden = cell = torch.zeros(x.shape[0], recurrent.shape[1], dtype=x.dtype)
    outputs = []
    for t in range(x.shape[2]):
        i, f, g, o = (x[:, :, t] + F.linear(hidden, recurrent, bias)).chunk(4, 1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(hidden)
    return torch.stack(outputs, 2)


def losses_of(job, dtype):
    read = lambda t: torch.tensor(t["data"], dtype=dtype).view(t["shape"])
    state = {k: read(v) for k, v in job["state"].items()}
    trained = [k for k in state if not k.endswith(("runningMean", "runningVar"))]
    x, labels = read(job["images"]), torch.tensor(job["labels"])
    if labels.numel() > len(x):
        labels = labels.view(len(x), -1)
    losses = []
    for _ in range(3):
        for k in trained:
            state[k] = state[k].detach().requires_grad_(True)
        loss = F.cross_entropy(forward(job["description"], state, x), labels)
        losses.append(loss.item())
        for k, g in zip(trained, torch.autograd.grad(loss, [state[k] for k in trained])):
            state[k] = state[k].detach() - job["learningRate"] * g
    return losses


job = json.load(sys.stdin)
json.dump({str(d)[6:]: losses_of(job, d) for d in (torch.float64, torch.float32)}, sys.stdout)
