from .metric import PathLengthMeter as PathLengthMeter
from .metric import PerceptualMetric as PerceptualMetric
from .metric import perceptual_distances as perceptual_distances
from .path_length import PathLength as PathLength
from .path_length import directness as directness
from .path_length import perceptual_path_length as perceptual_path_length
from .weights import MetricNotFoundError as MetricNotFoundError
from .weights import load_metric as load_metric
