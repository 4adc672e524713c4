# SPDX-License-Identifier: Apache-2.0
"""The one YAML file: text in, a ``Config`` or every problem at once out."""

from edged.config.loading import load
from edged.config.schema import Config

__all__ = ["Config", "load"]
