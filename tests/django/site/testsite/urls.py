"""No URLs: tests of requests bring their own."""

urlpatterns = []
