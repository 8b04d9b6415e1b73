// What every page must have for people who can't see it, or use no mouse: how often it is missing.
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.tagName[1]));
  const ids = all("[id]").map((each) => each.id);
  return {
    lang: document.documentElement.lang,
    title: document.title,
    firstHeadings: levels.filter((level) => level === 1).length,
    mains: all("main").length,
    skippedHeadings: levels.filter((level, at) => at && level - levels[at - 1] > 1).length,
    fieldsWithoutLabel: all("input:not([type=hidden]), select, textarea").filter((field) => !field.labels.length).length,
    linksWithoutName: all("a, button").filter((each) => !each.textContent.trim() && !each.getAttribute("aria-label")).length,
    picturesWithoutText: all("svg[role=img], img").filter((each) => !each.getAttribute("aria-label") && !each.alt).length,
    headsWithoutScope: all("th").filter((head) => !head.scope).length,
    tablesWithoutCaption: all("table").filter((table) => !table.caption).length,
    idsThatRepeat: ids.length - new Set(ids).size,
    labelsThatLeadNowhere: all("[aria-labelledby]").filter((each) => !document.getElementById(each.getAttribute("aria-labelledby"))).length,
  };
}
