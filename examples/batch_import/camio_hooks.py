"""The hooks for Camio as a file, for `camtrail video import FOLDER camio_hooks.py [HOST]`.

They hand over to the built-in hook, `camtrail video import FOLDER camio [HOST]`. Copy this file to change one of them.
Set CAMIO_OAUTH_TOKEN, and CAMIO_BOX_DEVICE_ID where the account has more than one Box.
"""

from camtrail.app.camio_hook import (
    assign_job_ids,
    check,
    post_video_content,
    register_camera,
    register_jobs,
    service_origin,
    set_hook_data,
)

__all__ = [
    "assign_job_ids",
    "check",
    "post_video_content",
    "register_camera",
    "register_jobs",
    "service_origin",
    "set_hook_data",
]
