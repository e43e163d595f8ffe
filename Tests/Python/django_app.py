# A project of Django in one file: pages, templates, forms, files, sessions and its admin, on a database in memory.
import hashlib, os, tempfile

import django
from django.conf import settings

HERE = os.path.dirname(os.path.abspath(__file__))
settings.configure(
    DEBUG=False, SECRET_KEY="not secret", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.staticfiles"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(tempfile.mkdtemp(), "db.sqlite3")}},
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies", STATIC_URL="/static/",
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages"]}}],
    LOGGING_CONFIG=None, FILE_UPLOAD_MAX_MEMORY_SIZE=65536)
django.setup()

from django.contrib import admin
from django.core.management import call_command
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.urls import path, re_path

call_command("migrate", verbosity=0)
PAGE = engines["django"].from_string(
    "<ul>{% for row in rows %}<li class='{% cycle 'odd' 'even' %}'>{{ row.name|upper }}: {{ row.value }}</li>{% endfor %}</ul>")


def body(request):
    content = request.body
    return JsonResponse({"size": len(content), "hash": hashlib.sha1(content).hexdigest(), "length": int(request.META.get("CONTENT_LENGTH") or 0)})


def upload(request):
    file = request.FILES["file"]
    content = file.read()
    return JsonResponse({"name": file.name, "size": len(content), "hash": hashlib.sha1(content).hexdigest(), "field": request.POST.get("field")})


def cookies(request):
    response = JsonResponse(dict(request.COOKIES))
    response.set_cookie("one", "1")
    response.set_cookie("two", "zwei", path="/cookies")
    return response


def status(request, code):
    return HttpResponse("" if code in (204, 304) else f"status {code}", status=code)


def headers(request):
    names = ("X-One", "X-Two", "Accept-Language", "Host", "User-Agent")
    return JsonResponse({name: request.headers.get(name) for name in names})


def error(request):
    raise RuntimeError("an error of the app")


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return JsonResponse({"count": request.session["count"]})


urlpatterns = [
    path("hello", lambda request: HttpResponse("Hello, world!", content_type="text/plain")),
    path("json", lambda request: JsonResponse({"name": "Ada", "born": 1815})),
    path("status/<int:code>", status),
    path("headers", headers),
    path("query", lambda request: JsonResponse({"a": request.GET.getlist("a"), "b": request.GET.get("b"), "raw": request.META["QUERY_STRING"]})),
    re_path("^path/(?P<rest>.*)$", lambda request, rest: JsonResponse({"rest": rest, "path": request.path})),
    path("form", lambda request: JsonResponse(sorted(request.POST.items()), safe=False)),
    path("upload", upload),
    path("body", body),
    path("unread", lambda request: HttpResponse("not read")),
    path("cookies", cookies),
    path("session", count),
    path("redirect", lambda request: HttpResponseRedirect("/hello")),
    path("stream", lambda request: StreamingHttpResponse((f"piece {number}\n" for number in range(20)), content_type="text/plain")),
    path("error", error),
    path("file", lambda request: FileResponse(open(os.path.abspath(__file__), "rb"), content_type="text/x-python")),
    path("big", lambda request: HttpResponse(b"0123456789abcdef" * 65536, content_type="application/octet-stream")),
    path("page", lambda request: HttpResponse(PAGE.render({"rows": [{"name": f"row {n}", "value": n * n} for n in range(50)]}))),
    path("url", lambda request: JsonResponse({"url": request.build_absolute_uri(), "secure": request.is_secure(), "host": request.get_host()})),
    path("remote", lambda request: JsonResponse(request.META["REMOTE_ADDR"], safe=False)),
    path("method", lambda request: HttpResponse(request.method)),
    path("empty", lambda request: HttpResponse("")),
    path("admin/", admin.site.urls),
]

from django.core.wsgi import get_wsgi_application
from django.core.asgi import get_asgi_application

application = get_wsgi_application()
asgi = get_asgi_application()
