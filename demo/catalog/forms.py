"""The shop's forms."""

from catalog.models import Review
from django import forms


class ReviewForm(forms.ModelForm):
    class Meta:
        model = Review
        fields = ["author", "stars", "text"]
        widgets = {"stars": forms.Select(choices=[(n, "★" * n) for n in range(5, 0, -1)])}


class SearchForm(forms.Form):
    words = forms.CharField(required=False, label="Search")
