"""An application that ends its process while it is imported, but only in the TEST_DIR that asks for it."""

import os

from basic import application, touch  # noqa: F401

if not os.path.exists(os.path.join(os.environ["TEST_DIR"], "may-live")):
    touch("died")
    os._exit(3)
