"""What visitors may send in, and its limits."""

from pathlib import PurePath
from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.files.uploadedfile import UploadedFile

from events.models import Attachment, Comment, Follow

_MOST_BYTES = 20 * 1024 * 1024
# By their first bytes: what a file is called proves nothing. Nothing here can run scripts in a reader's browser.
_KINDS = {
    ".pdf": b"%PDF-",
    ".png": b"\x89PNG\r\n\x1a\n",
    ".jpg": b"\xff\xd8\xff",
    ".jpeg": b"\xff\xd8\xff",
    ".webp": b"RIFF",
    ".txt": b"",
}


class CommentForm(forms.ModelForm):
    class Meta:
        model = Comment
        fields = ("name", "text")
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "text": forms.Textarea(attrs={"rows": 4, "placeholder": "A question, a correction, a ride to share…"}),
        }

    def __init__(self, *args: Any, user: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if user is not None:
            del self.fields["name"]
            self.instance.user = user
            self.instance.name = user.get_full_name() or user.get_username()


class FollowForm(forms.ModelForm):
    class Meta:
        model = Follow
        fields = ("note",)
        widgets = {"note": forms.Textarea(attrs={"rows": 3, "placeholder": "Only you can see this."})}


class AttachmentForm(forms.ModelForm):
    class Meta:
        model = Attachment
        fields = ("title", "file")
        widgets = {"file": forms.ClearableFileInput(attrs={"accept": ",".join(_KINDS)})}

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


class SignUpForm(UserCreationForm):
    first_name = forms.CharField(label="Your name", max_length=60, widget=forms.TextInput(attrs={"autocomplete": "name"}))

    class Meta(UserCreationForm.Meta):
        fields = ("first_name", "username")
