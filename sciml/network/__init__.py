"""Networks, their derivatives in the coordinates (jets) and in the parameters; nothing here knows of equations."""

from sciml.network.activations import Activation, ReLU, Sigmoid, Sine, Softplus, Tanh, activation, activation_names
from sciml.network.embeddings import Cosine, Embedding, Fourier, Periodic, embedding_from_dict
from sciml.network.general import GeneralTape
from sciml.network.jets import jet, record
from sciml.network.mlp import MLP
from sciml.network.multiindex import Index, IndexSet, closure, index_set
from sciml.network.parameters import flat_parameters, load_flat
from sciml.network.sums import Sum, network_from_description
from sciml.network.tape import Tape
from sciml.network.taylor import InputJet, MLPTape, lift

__all__ = [
    "MLP",
    "Activation",
    "Cosine",
    "Embedding",
    "Fourier",
    "GeneralTape",
    "Index",
    "IndexSet",
    "InputJet",
    "MLPTape",
    "Periodic",
    "ReLU",
    "Sigmoid",
    "Sine",
    "Softplus",
    "Sum",
    "Tanh",
    "Tape",
    "activation",
    "activation_names",
    "closure",
    "embedding_from_dict",
    "flat_parameters",
    "index_set",
    "jet",
    "lift",
    "load_flat",
    "network_from_description",
    "record",
]
