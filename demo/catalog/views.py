"""The shop's pages: front page, catalogue, reviews, a basket in the session, orders."""

import csv
import os
import platform

from catalog.forms import ReviewForm, SearchForm
from catalog.models import Order, OrderLine, Product
from django import get_version
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Avg, Count, F, Q
from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST


def basket_size(request):
    """For every template: how many items lie in the visitor's basket."""
    return {"basket_size": sum(request.session.get("basket", {}).values())}


def worker(environ):
    """Which worker made this page, as far as a WSGI application can tell."""
    return {
        "server": environ.get("SERVER_SOFTWARE", "unknown"),
        "python": platform.python_version(),
        "django": get_version(),
        "pid": os.getpid(),
        "interpreter": interpreter(),
        "multiprocess": environ["wsgi.multiprocess"],
    }


def interpreter():
    """The number of this interpreter in its process; the main one is 0."""
    try:
        import _interpreters
    except ImportError:
        return 0
    return int(_interpreters.get_current()[0])


@require_GET
def front(request):
    best = Product.objects.annotate(rating=Avg("reviews__stars")).order_by(F("rating").desc(nulls_last=True))[:3]
    return render(request, "catalog/front.html", {"best": best, "worker": worker(request.environ)})


@require_GET
def products(request):
    form = SearchForm(request.GET)
    found = Product.objects.select_related("category").annotate(review_count=Count("reviews"))
    if form.is_valid() and form.cleaned_data["words"]:
        words = form.cleaned_data["words"]
        found = found.filter(Q(name__icontains=words) | Q(description__icontains=words) | Q(category__name__icontains=words))
    return render(request, "catalog/products.html", {"form": form, "products": found})


@require_http_methods(["GET", "HEAD", "POST"])
def product(request, slug):
    item = get_object_or_404(Product.objects.select_related("category"), slug=slug)
    form = ReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.product = item
        form.save()
        messages.success(request, "Thank you for your review.")
        return redirect(item)
    status = 422 if form.errors else 200
    return render(request, "catalog/product.html", {"product": item, "form": form, "reviews": item.reviews.all()[:20]}, status=status)


@require_POST
def basket_add(request, slug):
    item = get_object_or_404(Product, slug=slug)
    basket = request.session.setdefault("basket", {})
    basket[slug] = basket.get(slug, 0) + 1
    request.session.modified = True
    messages.success(request, f"{item} is in your basket.")
    return redirect("basket")


@require_http_methods(["GET", "HEAD", "POST"])
def basket(request):
    chosen = request.session.get("basket", {})
    lines = [(item, chosen[item.slug]) for item in Product.objects.filter(slug__in=chosen)]
    if request.method == "POST":
        return place_order(request, lines)
    total = sum(item.price * count for item, count in lines)
    return render(request, "catalog/basket.html", {"lines": lines, "total": total})


@login_required
def place_order(request, lines):
    if not lines:
        return redirect("basket")
    with transaction.atomic():
        order = Order.objects.create(customer=request.user)
        for item, count in lines:
            taken = Product.objects.filter(pk=item.pk, stock__gte=count).update(stock=F("stock") - count)
            if not taken:
                transaction.set_rollback(True)
                messages.error(request, f"Not enough of {item} in stock.")
                return redirect("basket")
            OrderLine.objects.create(order=order, product=item, quantity=count, price=item.price)
    request.session["basket"] = {}
    messages.success(request, f"Order {order.pk} is placed.")
    return redirect("orders")


@login_required
@require_GET
def orders(request):
    placed = request.user.orders.prefetch_related("lines__product")
    return render(request, "catalog/orders.html", {"orders": placed})


@require_GET
def products_json(request):
    rows = Product.objects.values("slug", "name", "price", "stock", category_name=F("category__name"))
    return JsonResponse({"products": list(rows)})


class Echo:
    """A file that hands back what is written to it, so that csv rows can be streamed."""

    def write(self, row):
        return row


@require_GET
def stock(request):
    writer = csv.writer(Echo())
    rows = (writer.writerow([item.slug, item.price, item.stock]) for item in Product.objects.iterator(chunk_size=100))
    response = StreamingHttpResponse(rows, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="stock.csv"'
    return response
