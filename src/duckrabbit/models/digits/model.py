"""The project's own models of digits: a small U-Net, trained from scratch, as an ordinary Model.

A folder holds config.json (network, schedule, what is predicted, in which range), the weights as
model.safetensors, a README.md for people, and the log of the training. What the models are asked
about is a class label, 0 to 9, or None. Pictures are grey, or of colour where the training set's are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from duckrabbit.diffusion.levels import NoiseLevel, Schedule
from duckrabbit.diffusion.prediction import Condition, Network, Parameterisation
from duckrabbit.diffusion.schedules import FlowSchedule, OneStepSchedule, linear, rescale_zero_terminal_snr
from duckrabbit.errors import UserError
from duckrabbit.models.model import Card, Limiter, StageFacts
from duckrabbit.models.weights import verify
from duckrabbit.networks.batching import batched
from duckrabbit.networks.loading import LOADING
from duckrabbit.networks.unet_28 import NO_CLASS, SIZE, UNet, UNetConfig, build_unet

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class DigitsConfig:
    """The content of config.json.

    schedule: {"kind": "linear", "steps": T, "zero_terminal_snr": bool} or {"kind": "flow"}, or
    {"kind": "single", "sigma": s} for a one-step denoiser. training: how it was made, for people. labels: what the
    classes are called, in their order, if they have names besides their numbers.
    """

    network: UNetConfig
    prediction_type: Parameterisation
    schedule: Mapping[str, Any]
    value_range: tuple[float, float]
    training: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return {
            "network": self.network.to_json(),
            "prediction_type": self.prediction_type,
            "schedule": dict(self.schedule),
            "value_range": list(self.value_range),
            "training": dict(self.training),
            **({"labels": list(self.labels)} if self.labels else {}),
        }

    @classmethod
    def read(cls, folder: Path) -> DigitsConfig:
        """The configuration in a folder. Raises UserError where there is none that fits."""
        path = folder / CONFIG
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            network = UNetConfig.from_json(values["network"])
            low, high = (float(end) for end in values["value_range"])
            kind = values["prediction_type"]
            if kind not in get_args(Parameterisation):
                raise ValueError(f"prediction_type {kind}")
            labels = tuple(values.get("labels", ()))
            if labels and (len(labels) != network.classes or not all(isinstance(name, str) for name in labels)):
                raise ValueError(f"{len(labels)} labels of {network.classes} classes")
            config = cls(network, kind, dict(values["schedule"]), (low, high), dict(values.get("training", {})), labels)
            config.noise_schedule()
            return config
        except OSError:
            raise UserError(f"There is no {path}; name the folder of a trained digit model.") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} does not describe a digit model of duckrabbit ({error!r}).") from None

    def noise_schedule(self) -> Schedule:
        """The levels the network was trained on."""
        kind = self.schedule.get("kind")
        if kind == "flow":
            return FlowSchedule()
        if kind == "single":
            return OneStepSchedule(float(self.schedule["sigma"]))
        if kind == "linear":
            schedule = linear(int(self.schedule["steps"]))
            return rescale_zero_terminal_snr(schedule) if self.schedule.get("zero_terminal_snr") else schedule
        raise UserError(f"A digit model has a linear, flow or single schedule, not '{kind}'; see its config.json.")


@dataclass
class DigitsModel:
    """A U-Net of digits, with or without time and class; see models.model.Model for its members."""

    card: Card
    folder: Path
    config: DigitsConfig
    device: str = "cpu"
    dtype: str = "float32"

    stages: tuple[StageFacts, ...] = field(init=False)
    """One stage of 28 x 28 pictures, grey or in colour."""

    def __post_init__(self) -> None:
        self.stages = (_facts(self.config),)

    def condition(self, text: str) -> Condition:
        """The label that `text` names, "0" to "9" or, where its classes have names, one of these; None for "".

        Raises UserError for anything else.
        """
        if text.strip() == "":
            return None
        classes = self._classes
        if text.strip().isdecimal() and int(text) < classes:
            return int(text)
        if not classes:
            raise UserError(f"{self.card.name} knows no classes, so it cannot be asked for '{text}'; leave it empty.")
        names = self.config.labels
        if text.strip().lower() in names:
            return names.index(text.strip().lower())
        known = f"{', '.join(names)}, or their numbers," if names else "the digits"
        raise UserError(f"{self.card.name} draws {known} 0 to {classes - 1}; '{text}' is none of them.")

    def prepare(self, conditions: Iterable[Condition]) -> None:
        """Check that the conditions are labels this model knows, or None."""
        for condition in conditions:
            self._label(condition)

    def network(
        self, stage: int, low_res: Tensor | None = None, noise_level: int = 0, micro_batch: int | None = None
    ) -> Network:
        """The network; it has one stage and takes no low resolution picture."""
        if stage != 0 or low_res is not None:
            raise UserError(f"{self.card.name} has one stage of {SIZE} x {SIZE} pixels, and enlarges nothing.")
        dtype = getattr(torch, self.dtype)
        verify(self.folder / WEIGHTS, self.card.sha256.get(WEIGHTS), f"{self.card.name}/{WEIGHTS}")
        unet = _for_sampling(load_unet(self.folder, self.config)).to(self.device, dtype)
        facts, timed = self.config.schedule, self.config.network.conditioning != "none"

        def forward(x: Tensor, at: NoiseLevel, conditions: list[Condition], _: Tensor | None) -> Tensor:
            t = labels = None
            if timed:
                time = 1 - at.t if facts["kind"] == "flow" else (at.t + 1) / int(facts["steps"])
                t = torch.full((len(x),), time, device=self.device, dtype=dtype)
            if self._classes:
                labels = torch.tensor([self._label(c) for c in conditions], device=self.device)
            x = x.to(self.device, dtype).contiguous(memory_format=torch.channels_last)
            return unet(x, t, labels)

        return batched(
            forward, self.config.prediction_type, micro_batch=micro_batch or 256, schedule=self.stages[0].schedule
        )

    def weight_hash(self) -> Mapping[str, str]:
        """sha256 of the weights, by their path in the folder."""
        return {WEIGHTS: hashlib.sha256((self.folder / WEIGHTS).read_bytes()).hexdigest()}

    @property
    def _classes(self) -> int:
        return self.config.network.classes if self.config.network.conditioning == "class" else 0

    def _label(self, condition: Condition) -> int:
        if condition is None or condition == "":
            return NO_CLASS
        label = self.condition(condition) if isinstance(condition, str) else condition
        if not isinstance(label, int) or not 0 <= label < self._classes:
            known = f"0 to {self._classes - 1}" if self._classes else "none"
            raise UserError(f"{self.card.name} was asked for class {condition}; it knows {known}.")
        return label


def _facts(config: DigitsConfig) -> StageFacts:
    low, high = config.value_range
    return StageFacts(
        size=(SIZE, SIZE),
        channels=config.network.channels,
        schedule=config.noise_schedule(),
        prediction_type=config.prediction_type,
        learned_variance=False,
        variance="large",
        limiter=Limiter(None, high) if low == -high else None,
        spacing="trailing",
        offset=0,
        steps=20 if _repaired(config) else int(config.schedule.get("steps", 1)),
        gflop=0.53 * (config.network.hidden / 64) ** 2,
        value_range=(low, high),
    )


def is_digits(folder: Path) -> bool:
    """Whether `folder` holds a digit model: its config.json names a network."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "network" in config


def load_digits(
    folder: Path | str, *, card: Card | None = None, device: str = "cpu", dtype: str = "float32"
) -> DigitsModel:
    """The trained model in `folder` as a Model: any task, guidance and solver works on it.

    A one-step denoiser denoises in one step, and refuses every plan. Raises UserError where the
    folder holds no model.
    """
    folder = Path(folder)
    config = DigitsConfig.read(folder)
    card = card or Card(
        name=folder_name(folder),
        title=f"{'Small pictures' if config.labels else 'Digits'}, trained from scratch",
        source=str(folder),
        licence="Apache-2.0",
        guidance_scale=2.0,
        solver=_solver(config),
    )
    return DigitsModel(card, folder, config, device, dtype)


def _solver(config: DigitsConfig) -> str:
    """What draws best (docs/log.md): DDPM with all steps where the last level is not pure noise, or few of another."""
    if not _repaired(config):
        return "ddpm-large"
    return "dpm++" if config.network.conditioning == "class" else "sde-dpm++"


def _repaired(config: DigitsConfig) -> bool:
    return config.schedule.get("kind") == "flow" or bool(config.schedule.get("zero_terminal_snr"))


def folder_name(folder: Path) -> str:
    """What a model in a folder is called: by the folder; RUN/model, as `train` leaves it, by the run."""
    return folder.parent.name if folder.name == "model" else folder.name


def load_denoiser(folder: Path | str, *, device: str = "cpu") -> UNet:
    """The one-step denoiser in `folder`, ready to use: net(z) estimates the picture, (N, C, 28, 28) in [0, 1]."""
    folder = Path(folder)
    config = DigitsConfig.read(folder)
    if config.network.conditioning != "none":
        raise UserError(f"{folder} is a diffusion model, not a one-step denoiser; load it with load_digits.")
    return _for_sampling(load_unet(folder, config)).to(device)


def load_unet(folder: Path, config: DigitsConfig) -> UNet:
    """The network with its weights in float32, in eval mode. UserError for weights that do not fit."""
    with LOADING:
        unet = build_unet(config.network)
    try:
        unet.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in _read(folder).items()})
    except RuntimeError as error:
        raise UserError(f"The weights in {folder} are not those of its config.json: {error}") from None
    return unet.eval().requires_grad_(False)


def _read(folder: Path) -> dict[str, Tensor]:
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS} cannot be read ({error}); fetch or train the model again.") from None


def _for_sampling(unet: UNet) -> UNet:
    """Batch norm folded into the convolutions before it, channels last: the same function, faster."""
    with LOADING:
        for module in unet.modules():
            if isinstance(module, nn.Sequential) and len(module) == 3 and isinstance(module[1], nn.BatchNorm2d):
                before: Any = module[0]
                module[0] = fuse_conv_bn_eval(before, module[1], transpose=isinstance(before, nn.ConvTranspose2d))
                module[1] = nn.Identity()
    unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return unet
