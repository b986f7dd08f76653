"""Learners: who takes the optimiser steps. Not sampling, not grading."""
