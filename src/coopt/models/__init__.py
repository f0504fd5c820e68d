"""The frozen dual encoders: `load_model(name)` gives a `VLM`, whatever the weights' source."""

from coopt.models.archive import read_objects as read_objects
from coopt.models.archive import unwrapped as unwrapped
from coopt.models.block import Block as Block
from coopt.models.block import Layer as Layer
from coopt.models.block import Mlp as Mlp
from coopt.models.block import attention as attention
from coopt.models.block import run_block as run_block
from coopt.models.catalogue import list_models as list_models
from coopt.models.hub import Kind as Kind
from coopt.models.hub import fetch_snapshot as fetch_snapshot
from coopt.models.licence import model_licence as model_licence
from coopt.models.load import HUB_ID as HUB_ID
from coopt.models.load import load_model as load_model
from coopt.models.preprocess import Preprocess as Preprocess
from coopt.models.towers import ImageTower as ImageTower
from coopt.models.towers import TextTower as TextTower
from coopt.models.towers import VisionTransformer as VisionTransformer
from coopt.models.vlm import VLM as VLM
