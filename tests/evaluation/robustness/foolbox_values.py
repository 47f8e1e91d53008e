"""What foolbox makes of a few small pictures, for the tests to compare ours with.

In an environment that has foolbox 3.3.4 and torch, this file writes foolbox_values.json anew:

    pip install foolbox==3.3.4 && python tests/evaluation/robustness/foolbox_values.py
"""

import json
from pathlib import Path

import torch
from torch.nn import functional

VALUES = Path(__file__).with_suffix(".json")
SEED = 2023
EPS = {"gaussian-noise": 0.5, "fgsm": 0.01, "pgd": 0.01, "pgd-start": 0.01, "deepfool": 0.05}
"""`pgd-start` is PGD of ten steps, after which its random start still shows."""
BOUNDS = (-1.0, 1.0)


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Six pictures of 3 x 4 x 4, some values of which lie at the bounds, and their labels."""
    values = torch.sin(torch.arange(6 * 48, dtype=torch.float32) * 0.7) * 1.2
    return values.clamp(*BOUNDS).reshape(6, 3, 4, 4), outputs(values.clamp(*BOUNDS).reshape(6, 3, 4, 4)).argmax(1)


def outputs(pixels: torch.Tensor) -> torch.Tensor:
    """A small network of three classes that is not linear, without a random number in it."""
    first = torch.cos(torch.arange(48 * 8, dtype=torch.float32) * 1.3).reshape(8, 48)
    second = torch.cos(torch.arange(8 * 3, dtype=torch.float32) * 2.1).reshape(3, 8)
    return functional.linear(torch.tanh(functional.linear(pixels.flatten(1), first) / 3), second)


class Network(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return outputs(pixels)


def main() -> None:
    import foolbox

    attacks = {
        "gaussian-noise": foolbox.attacks.L2AdditiveGaussianNoiseAttack(),
        "fgsm": foolbox.attacks.LinfFastGradientAttack(),
        "pgd": foolbox.attacks.LinfProjectedGradientDescentAttack(steps=100),
        "pgd-start": foolbox.attacks.LinfProjectedGradientDescentAttack(steps=10),
        "deepfool": foolbox.attacks.LinfDeepFoolAttack(steps=100, candidates=2),
    }
    model = foolbox.PyTorchModel(Network().eval(), bounds=BOUNDS)
    given, labels = pictures()
    found = {}
    for name, attack in attacks.items():
        torch.manual_seed(SEED)
        _, changed, fooled = attack(model, given, labels, epsilons=EPS[name])
        change = (changed - given).flatten().tolist()
        found[name] = {"change": [round(one, 6) for one in change], "fooled": fooled.tolist()}
    VALUES.write_text(json.dumps({"foolbox": foolbox.__version__, **found}) + "\n", "utf-8")


if __name__ == "__main__":
    main()
