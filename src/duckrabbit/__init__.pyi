from .diffusion.constraints import KnownBand, KnownPixels
from .diffusion.levels import CLEAN, NoiseLevel, Schedule, add_noise
from .diffusion.plans import Move, Plan, course_times, plan_through, start_at, time_travel
from .diffusion.prediction import Condition, Denoiser, Network, Prediction, Query, View
from .diffusion.probability_flow import invert, log_likelihood
from .diffusion.schedules import DiscreteSchedule, FlowSchedule, squaredcos_cap_v2
from .diffusion.solvers import (
    DDIM,
    DDPM,
    SOLVERS,
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPP3M,
    Heun,
    Memory,
    Past,
    Solver,
    Step,
    UniPC,
    level_between,
)
from .diffusion.streams import Noise
from .diffusion.trajectory import Constraint, NoiseSource, State, trajectory
from .errors import UserError
from .evaluation.classical import best_gaussian_blur, best_median
from .evaluation.digits.steering import DigitLoss
from .evaluation.drawings.weighing import DrawingScores
from .evaluation.evaluate import evaluate
from .evaluation.metrics import psnr
from .evaluation.search.search import Found, search
from .guidance.combining import Adaptive, Alternate, InWindows, MeanX0, Rectified
from .guidance.curve import Curve
from .guidance.each import Each
from .guidance.families import parts_of
from .guidance.filters import BandPass, Colour, Filter, Grey, HighPass, InSeries, LowPass, MotionBlur, Remainder
from .guidance.gradient import Gradient
from .guidance.nodes import CFG, Bands, Clip, Masked, Mean, Prompt, Threshold, Through, Viewed, Weighted
from .guidance.projected import Projected
from .guidance.rescaled import Rescaled
from .guidance.tree import Ask, Guidance, ask_all, lower
from .guidance.views.pixels import PixelView
from .guidance.views.rearranged import Rearranged
from .guidance.views.shipped import VIEWS, parse_view
from .models.load import load
from .models.model import Card, Limiter, Model, StageFacts
from .records.replay import replay
from .registry import register
from .tasks.checks import check
from .tasks.hybrids import composed, factorized, hybrid
from .tasks.job import Job, Stage, cost
from .tasks.masks import as_mask
from .tasks.orders import read_order
from .tasks.pictures import as_picture
from .tasks.results import Result
from .tasks.run import denoiser, run, run_all, walk
from .tasks.tasks import anagram, denoise, edit, generate, inpaint, noise, upscale
from .training.digits.train import train

__version__: str
__all__ = [
    "CFG",
    "CLEAN",
    "DDIM",
    "DDPM",
    "SOLVERS",
    "VIEWS",
    "Adaptive",
    "Alternate",
    "Ask",
    "BandPass",
    "Bands",
    "Card",
    "Clip",
    "Colour",
    "Condition",
    "Constraint",
    "Curve",
    "DPMSolverPP2M",
    "DPMSolverPP2S",
    "DPMSolverPP3M",
    "Denoiser",
    "DigitLoss",
    "DiscreteSchedule",
    "DrawingScores",
    "Each",
    "Filter",
    "FlowSchedule",
    "Found",
    "Gradient",
    "Grey",
    "Guidance",
    "Heun",
    "HighPass",
    "InSeries",
    "InWindows",
    "Job",
    "KnownBand",
    "KnownPixels",
    "Limiter",
    "LowPass",
    "Masked",
    "Mean",
    "MeanX0",
    "Memory",
    "Model",
    "MotionBlur",
    "Move",
    "Network",
    "Noise",
    "NoiseLevel",
    "NoiseSource",
    "Past",
    "PixelView",
    "Plan",
    "Prediction",
    "Projected",
    "Prompt",
    "Query",
    "Rearranged",
    "Rectified",
    "Remainder",
    "Rescaled",
    "Result",
    "Schedule",
    "Solver",
    "Stage",
    "StageFacts",
    "State",
    "Step",
    "Threshold",
    "Through",
    "UniPC",
    "UserError",
    "View",
    "Viewed",
    "Weighted",
    "add_noise",
    "anagram",
    "as_mask",
    "as_picture",
    "ask_all",
    "best_gaussian_blur",
    "best_median",
    "check",
    "composed",
    "cost",
    "course_times",
    "denoise",
    "denoiser",
    "edit",
    "evaluate",
    "factorized",
    "generate",
    "hybrid",
    "inpaint",
    "invert",
    "level_between",
    "load",
    "log_likelihood",
    "lower",
    "noise",
    "parse_view",
    "parts_of",
    "plan_through",
    "psnr",
    "read_order",
    "register",
    "replay",
    "run",
    "run_all",
    "search",
    "squaredcos_cap_v2",
    "start_at",
    "time_travel",
    "train",
    "trajectory",
    "upscale",
    "walk",
]
