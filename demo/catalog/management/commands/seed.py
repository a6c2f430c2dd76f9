"""Fills the demo shop: categories, products, reviews, and a user demo/demo who may use the admin."""

from decimal import Decimal

from catalog.models import Category, Product, Review
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils.text import slugify

PRODUCTS = {
    "Gates": [
        ("Garden gate", "Wrought iron, opens both ways, closes by itself.", "240.00", 7),
        ("Lych gate", "Oak and slate. Comes with two benches.", "4900.00", 1),
        ("Kissing gate", "Lets walkers through and keeps sheep in.", "310.00", 12),
        ("Sluice gate", "For moderate streams. Back-pressure included.", "1250.00", 3),
    ],
    "Rings": [
        ("Curtain ring", "Brass, 40 mm, sold by the dozen.", "9.60", 400),
        ("Key ring", "Holds thirty-two keys without allocation.", "4.20", 1000),
        ("Piston ring", "Fits most small engines.", "18.75", 60),
        ("Boxing ring", "Square, in spite of the name.", "6200.00", 2),
    ],
    "Queues": [
        ("Rope barrier", "Velvet, two metres, with two posts.", "75.00", 30),
        ("Ticket dispenser", "Numbers from 0 to 99, then again.", "130.00", 8),
    ],
}
REVIEWS = [
    ("Ada", 5, "Does exactly what it says, and nothing else."),
    ("Grace", 4, "Solid. I would have liked it in green: größer, schöner, 緑."),
    ("Edsger", 3, "Harmful? No. But considered."),
]


class Command(BaseCommand):
    help = __doc__

    @transaction.atomic
    def handle(self, *args, **options):
        rank = 0
        for category_name, rows in PRODUCTS.items():
            category, _ = Category.objects.get_or_create(name=category_name)
            for name, description, price, stock in rows:
                fields = {"category": category, "name": name, "description": description, "price": Decimal(price), "stock": stock}
                product, created = Product.objects.get_or_create(slug=slugify(name), defaults=fields)
                if created:
                    for author, stars, text in REVIEWS[: rank % 4]:
                        Review.objects.create(product=product, author=author, stars=stars, text=text)
                rank += 1
        users = get_user_model().objects
        if not users.filter(username="demo").exists():
            users.create_superuser("demo", "demo@example.org", "demo")
