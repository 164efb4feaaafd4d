from .engines import EngineSettings as EngineSettings
from .planning import Shard as Shard
from .recorded import publish_results as publish_results
from .run import open_study as open_study
from .run import run_study as run_study
from .settings import StudySettings as StudySettings
from .tasks import plan_tasks as plan_tasks
