"""The wheel holds a shared library, but no extension of CPython: any Python 3 on a Linux with glibc 2.17 or later."""
import platform

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.dist import Distribution


class Wheel(bdist_wheel):
    def get_tag(self):
        return "py3", "none", f"manylinux_2_17_{platform.machine()}"


class WithLibrary(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"bdist_wheel": Wheel}, distclass=WithLibrary)
