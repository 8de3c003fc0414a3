"""What Crewship puts into a sandbox beside a project: `guard`, the trusted parent, and `run`, its child.

Standard library only, Python 3.9 and later; nothing here imports the rest of Crewship.
"""
