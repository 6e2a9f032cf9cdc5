"""The agent image of a clone: built with the engine that answers, where it is missing."""

import subprocess
from collections.abc import Mapping

from gateway.cli.environment import PROJECT, CommandError, for_docker
from gateway.settings import DEFAULT_IMAGE


def ensure_agent_image(environ: Mapping[str, str]) -> None:
    """Return when the engine has the image; raises CommandError."""
    if has_agent_image(environ):
        return
    step = PROJECT / "scripts" / "step"
    if not step.is_file():
        raise CommandError(f"The engine has no image {DEFAULT_IMAGE}: build or load it first.")
    title = "Building the agent image, which takes a minute the first time"
    built = subprocess.run(  # noqa: S603 - the project's own script
        [step, title, PROJECT / "scripts" / "image", "agent"],
        env=for_docker(environ),
        check=False,
    )
    if built.returncode != 0:
        raise CommandError(
            "The agent image could not be built; the lines above say why. "
            "With ENGINE=process sessions run without containers."
        )


def has_agent_image(environ: Mapping[str, str]) -> bool:
    try:
        found = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            ["docker", "image", "inspect", DEFAULT_IMAGE],  # noqa: S607 - whichever is installed
            env=for_docker(environ),
            capture_output=True,
            timeout=20,
            check=False,
        )
    except OSError as error:
        raise CommandError(
            "The docker command can't be run, and the image is built with it."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError("The Docker Engine does not answer.") from error
    return found.returncode == 0
