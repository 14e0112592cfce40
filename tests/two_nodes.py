"""A Ray cluster of two nodes on this machine, for scripts that tests run in processes of their own."""

import os
from pathlib import Path

TWO_NODES = """
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100_000_000,
    "include_dashboard": False})
cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
cluster.wait_for_nodes()
ray.init(address=cluster.address, log_to_driver=False)
print("nodes", len(ray.nodes()), "cpus", ray.cluster_resources()["CPU"])
"""
"""Starts it, joins it, and says what it has, as `STARTED` reads."""
STARTED = "nodes 2 cpus 2"


def environment() -> dict[str, str]:
    """Of such a script: it imports this checkout, and so do its workers."""
    repository = Path(__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": str(repository), "RAY_DISABLE_IMPORT_WARNING": "1"}
