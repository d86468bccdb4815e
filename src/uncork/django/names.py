"""What a project's settings call the recorder. Imports nothing, so that anyone may know it."""

APP = "uncork.django"
MIDDLEWARE = "uncork.django.middleware.UncorkMiddleware"
