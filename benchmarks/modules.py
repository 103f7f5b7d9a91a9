"""Run the README's lines on two convolutional networks, and write there what they gave.

``python -m benchmarks.modules`` trains both on the embedded digits, in about a minute.
"""

import re
from pathlib import Path

import torch
from torch import nn

import safecross

README = Path(__file__).parents[1] / "README.md"
WIDTHS, EPOCHS = (16, 32, 32), 3


def lines() -> str:
    """Return the README's lines on modules."""
    return re.search(r"## Any PyTorch module.*?```python\n(.*?)```", README.read_text(), re.S)[1]


def network(widths: tuple[int, ...] = WIDTHS) -> nn.Module:
    """Return a convolutional network with batch norm for images of 28 x 28 pixels."""
    layers = []
    for before, after in zip((1, *widths), widths, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(9 * widths[-1], 10))


def trained(seed: int, x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    """Return a network trained from a seed."""
    torch.manual_seed(seed)
    model = network()
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(100):
            adam.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            adam.step()
    return model.eval()


def main() -> None:
    """Train, run the lines, and write the figures below them."""
    data = safecross.load_data("mnist5k")
    images, test = (x.view(-1, 1, 28, 28) for x in (data.x_train, data.x_test))
    a, b = (trained(seed, images, data.y_train) for seed in (0, 1))
    names = {"safecross": safecross, "model_a": a, "model_b": b, "images": images}
    exec(lines(), names)
    apart = safecross.assert_function_preserved(b, names["move"](b), images[:100])
    rows = []
    for label, move, batch in (
        ("naive", None, None),
        ("aligned", names["move"], None),
        ("naive, statistics re-estimated", None, images),
        ("aligned, statistics re-estimated", names["move"], images),
    ):
        curve = safecross.crossover_curve(a, b, test, data.y_test, alignment=move, data=batch)
        middle = curve.accuracy[list(curve.t).index(0.5)]
        rows.append(f"| {label} | {middle:.1%} | {curve.barrier:.3f} |")
    ends = [curve.accuracy[list(curve.t).index(t)] for t in (0.0, 1.0)]
    text = (
        f"On networks of {WIDTHS} channels, trained for {EPOCHS} epochs on the\n"
        "embedded digits (`python -m benchmarks.modules`), `move(model_b)` computes what\n"
        f"`model_b` does to {apart:.0e}, and their child:\n\n"
        "| | test accuracy at t = 0.5 | barrier of the loss (nats) |\n|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nTheir parents, statistics re-estimated: {ends[0]:.1%} and {ends[1]:.1%}.\n"
    )
    block = re.compile(r"(<!-- modules -->\n).*?(<!-- /modules -->)", re.S)
    README.write_text(block.sub(lambda m: m[1] + text + m[2], README.read_text()))


if __name__ == "__main__":
    main()
