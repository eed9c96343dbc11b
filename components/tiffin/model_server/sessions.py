"""The settings of the sessions that models run in (model_servers/server.cc, `BuildAndStart`)."""

import logging
from typing import Any

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from tiffin.model_server import configs

_log = logging.getLogger(__name__)


def config(options: Any) -> Any:
    """Return the ConfigProto that the flags ask for.

    Raises:
        ServingError: Its file cannot be read.
    """
    config = config_pb2.ConfigProto()
    if options.tensorflow_session_config_file:
        configs.read_text(options.tensorflow_session_config_file, config)
    config.gpu_options.per_process_gpu_memory_fraction = options.per_process_gpu_memory_fraction
    intra, inter = options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism
    if intra > 0 or inter > 0:
        config.intra_op_parallelism_threads, config.inter_op_parallelism_threads = intra, inter
    else:
        config.intra_op_parallelism_threads = options.tensorflow_session_parallelism
        config.inter_op_parallelism_threads = options.tensorflow_session_parallelism
    if options.mixed_precision == "bfloat16":
        rewrite = config.graph_options.rewrite_options
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    elif options.mixed_precision:
        _log.warning("%s auto mixed precision is not supported. Valid option: bfloat16", options.mixed_precision)
    return config
