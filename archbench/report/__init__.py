import logging

# Where a home cannot be written matplotlib makes do with a temporary folder; its lines about that ask for nothing.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
