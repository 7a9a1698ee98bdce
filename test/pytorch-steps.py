# Plain training steps (SGD without momentum, cross-entropy) of a described network in PyTorch, in double precision: reads one
# JSON document (description, state, images, labels, learningRate) and prints the losses of three steps. For 80-models-by-name.
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
            y = F.linear(y.flatten(1), w, b)
        elif kind == "batchNorm":
            y = F.batch_norm(y, None, None, w, b, training=True, eps=node.get("epsilon", 1e-5))
        elif kind == "relu":
            y = F.relu(y)
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
    return values[description["output"]].flatten(1)


def main():
    job = json.load(sys.stdin)
    read = lambda t: torch.tensor(t["data"], dtype=torch.float64).view(t["shape"])
    state = {k: read(v) for k, v in job["state"].items()}
    trained = [k for k in state if not k.endswith(("runningMean", "runningVar"))]
    x, labels = read(job["images"]), torch.tensor(job["labels"])
    losses = []
    for _ in range(3):
        for k in trained:
            state[k] = state[k].detach().requires_grad_(True)
        loss = F.cross_entropy(forward(job["description"], state, x), labels)
        losses.append(loss.item())
        for k, g in zip(trained, torch.autograd.grad(loss, [state[k] for k in trained])):
            state[k] = state[k].detach() - job["learningRate"] * g
    json.dump(losses, sys.stdout)


main()
