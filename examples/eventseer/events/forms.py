"""What visitors may send in, and its limits."""

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.files.uploadedfile import UploadedFile

from events.models import Attachment, Comment, Follow

_MOST_BYTES = 20 * 1024 * 1024
# By their first bytes: what a file is called proves nothing. Nothing here can run scripts in a reader's
# browser.
_KINDS = {
    ".pdf": b"%PDF-",
    ".png": b"\x89PNG\r\n\x1a\n",
    ".jpg": b"\xff\xd8\xff",
    ".jpeg": b"\xff\xd8\xff",
    ".webp": b"RIFF",
    ".txt": b"",
}


class Dressed:
    """Labels without a colon, and attributes for some fields' elements."""

    dress: Mapping[str, Mapping[str, object]] = MappingProxyType({})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        for name, attributes in self.dress.items():
            self.fields[name].widget.attrs |= attributes


class CommentForm(Dressed, forms.ModelForm):
    dress = MappingProxyType(
        {
            "name": {"autocomplete": "name"},
            "text": {"rows": 4, "placeholder": "A question, a correction, a ride to share…"},
        }
    )

    class Meta:
        model = Comment
        fields = ("name", "text")

    def __init__(self, *args: Any, user: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if user is not None:
            del self.fields["name"]
            self.instance.user = user
            self.instance.name = user.get_full_name() or user.get_username()


class FollowForm(Dressed, forms.ModelForm):
    dress = MappingProxyType({"note": {"rows": 3, "placeholder": "Only you can see this."}})

    class Meta:
        model = Follow
        fields = ("note",)


class AttachmentForm(Dressed, forms.ModelForm):
    dress = MappingProxyType({"file": {"accept": ",".join(_KINDS)}})

    class Meta:
        model = Attachment
        fields = ("title", "file")

    def clean_file(self) -> UploadedFile:
        file = self.cleaned_data["file"]
        magic = _KINDS.get(PurePath(file.name).suffix.lower())
        if magic is None:
            raise forms.ValidationError(f"One of these, please: {', '.join(_KINDS)}")
        if file.size > _MOST_BYTES:
            raise forms.ValidationError(f"At most {_MOST_BYTES >> 20} MB, please.")
        start = file.read(len(magic))
        file.seek(0)
        if start != magic:
            raise forms.ValidationError("The content of this file is not what its name says.")
        return file


class SignUpForm(Dressed, UserCreationForm):
    dress = MappingProxyType({"first_name": {"autocomplete": "name"}})
    first_name = forms.CharField(label="Your name", max_length=60)

    class Meta(UserCreationForm.Meta):
        fields = ("first_name", "username")
