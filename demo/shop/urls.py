"""The shop's pages."""

from catalog import views
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", views.front, name="front"),
    path("products/", views.products, name="products"),
    path("products/<slug:slug>/", views.product, name="product"),
    path("basket/", views.basket, name="basket"),
    path("basket/add/<slug:slug>/", views.basket_add, name="basket-add"),
    path("orders/", views.orders, name="orders"),
    path("stock.csv", views.stock, name="stock"),
    path("api/products/", views.products_json, name="products-json"),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
]
