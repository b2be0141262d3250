"""moto's server, with one gap closed: an instance that came of a spot request names that request, as EC2's do.

Without it nobody could tell a one-time request, whose instance cannot be stopped, from a persistent one.
"""

from __future__ import annotations

from moto.ec2.models.instances import Instance
from moto.ec2.models.spot_requests import SpotInstanceRequest
from moto.server import main

_launch = SpotInstanceRequest.launch_instance


def _launch_and_name(request: SpotInstanceRequest) -> Instance:
    instance = _launch(request)
    # The answer to DescribeInstances holds every attribute that EC2's has.
    instance.spot_instance_request_id = request.id  # type: ignore[attr-defined]
    return instance


if __name__ == "__main__":
    SpotInstanceRequest.launch_instance = _launch_and_name  # type: ignore
    main()
