from .check import Backbone as Backbone
from .check import Cause as Cause
from .check import Finding as Finding
from .check import UncheckableError as UncheckableError
from .check import examine as examine
from .tiny import AbsentError as AbsentError
from .tiny import Tiny as Tiny
